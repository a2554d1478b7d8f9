"""Registration of a recording: from the cameras' frame of reference to that of a simulation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.errors import ObservationError
from simlayer.motion_capture.recording import Recording
from simlayer.quantities.arguments import checked_integer, checked_several
from simlayer.quantities.arrays import checked_numbers
from simlayer.quantities.objects import checked_instance

# Points whose second extent is less than this part of the first count as lying on a line.
NARROWEST = 1e-3


@dataclass(frozen=True, eq=False)
class Registration:
    """The rigid motion x -> R x + t from the cameras' frame to the reference frame.

    Args:
        rotation: R, with det R = 1.
        translation: t [m].
        reference: positions of the markers on the body at rest [m].
        held: mean recorded positions while the body was held still [m], NaN for a marker not observed then.
        residuals: distances between registered and reference positions [m].
        stillness: largest deviation of a marker from its mean while held [m].
        names: names of the markers.
    """

    rotation: Float[Tensor, "3 3"]
    translation: Float[Tensor, "3"]
    reference: Float[Tensor, "K 3"]
    held: Float[Tensor, "K 3"]
    residuals: Float[Tensor, "K"]
    stillness: float
    names: tuple[str, ...]

    @property
    def rms(self) -> float:
        """The root mean square of the residuals [m]."""
        return self.residuals.square().nanmean().sqrt().item()

    def in_frame(self, recording: Recording) -> Recording:
        """Return the recording in the reference frame: the reference plus displacements from the held state.

        Markers are placed less exactly than they are recorded, and absolute positions would include the
        residuals. A marker that was not observed while held has no displacement, and is missing throughout.
        One that lacks a coordinate in a frame is missing in it: rotated, all of them need it.
        """
        checked_instance("recording", recording, Recording)
        if recording.names != self.names:
            raise ObservationError(
                f"{recording.source}: the markers must be those registered, {', '.join(self.names)}; "
                f"got {', '.join(recording.names)}."
            )
        moved = (recording.markers.double() - self.held) @ self.rotation.T
        return Recording(recording.times, self.reference + moved, recording.names, recording.source)


def register(recording: Recording, reference: Float[Tensor, "K 3"], *, held: tuple[int, int]) -> Registration:
    """Return the rigid motion that best maps the markers onto their reference positions (least squares).

    The closed form of Kabsch (1976), "A solution for the best rotation to relate two sets of vectors", in
    double precision, applied to the markers' means over the frames in which the body was held still.

    Args:
        recording: positions in the cameras' frame.
        reference: positions of the markers on the body at rest, in the frame of the simulation [m].
        held: the first frame in which the body is held still, and the first frame after.

    Raises:
        ObservationError: a reference of the wrong shape or not finite, frames outside the recording, fewer
            than three markers observed while held, or all of them on a line.
    """
    checked_instance("recording", recording, Recording, example="read_recording(path)")
    reference = checked_numbers("reference", reference)
    first, last = checked_several("held", held, 2, checked_integer)
    held = first, last
    if reference.shape != recording.markers.shape[1:] or not reference.isfinite().all():
        raise ObservationError(
            f"{recording.source}: reference must be finite positions of its {len(recording.names)} markers, "
            f"of shape ({len(recording.names)}, 3); got shape {tuple(reference.shape)}."
        )
    samples = recording.window(*held).markers.double()
    means = samples.nanmean(0)
    usable = ~means.isnan().any(-1)
    _check_usable(recording, usable.tolist())
    centre, target = means[usable].mean(0), reference[usable].mean(0)
    for cloud, what in ((means[usable] - centre, "recorded"), (reference[usable] - target, "reference")):
        extents = torch.linalg.svdvals(cloud)
        if not extents[1] > NARROWEST * extents[0]:
            raise ObservationError(
                f"{recording.source}: the {what} positions of the {len(cloud)} markers observed in frames "
                f"{held} lie on a line, around which the rotation is undetermined; add a marker beside it."
            )
    rotation = _best_rotation(means[usable] - centre, reference[usable] - target)
    translation = target - rotation @ centre
    return Registration(
        rotation=rotation,
        translation=translation,
        reference=reference,
        held=means,
        residuals=(means @ rotation.T + translation - reference).norm(dim=-1),
        stillness=(samples - means).norm(dim=-1).nan_to_num(0.0).max().item(),
        names=recording.names,
    )


def _check_usable(recording: Recording, usable: list[bool]) -> None:
    missing = ", ".join(name for name, found in zip(recording.names, usable, strict=True) if not found)
    if sum(usable) < 3:
        raise ObservationError(
            f"{recording.source}: a registration needs at least 3 markers observed while held, "
            f"got {sum(usable)} of {len(usable)}; not observed: {missing or 'none'}."
        )
    if missing:
        warnings.warn(
            f"{recording.source}: not observed while held, so without displacement: {missing}.", stacklevel=3
        )


def _best_rotation(points: Float[Tensor, "K 3"], targets: Float[Tensor, "K 3"]) -> Float[Tensor, "3 3"]:
    """Return the rotation R that minimizes the sum of |R point - target|²."""
    U, _, Vh = torch.linalg.svd(targets.T @ points)
    # Flipping the direction in which the markers spread least avoids a reflection at the least cost.
    signs = torch.stack([U.new_ones(()), U.new_ones(()), torch.linalg.det(U @ Vh).sign()])
    return (U * signs) @ Vh
