"""Bringing a recording from the cameras' frame of reference to that of a simulation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.errors import ObservationError
from simlayer.motion_capture.recording import Recording

# Second to first extent of a cloud of points, below which it is taken for a line.
NARROWEST = 1e-3


@dataclass(frozen=True, eq=False)
class Registration:
    """The rigid motion from the cameras' frame to the reference frame: rotation x + translation.

    Args:
        rotation: R, with det R = 1.
        translation: after it [m].
        reference: where the markers are, on the body at rest [m].
        held: their mean recorded positions while it was held [m], NaN for one not seen then.
        residuals: distances left between both, in the reference frame [m].
        stillness: the largest deviation of a marker from its mean while held [m].
        names: of the markers.
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
        """Root mean square over the markers of the residuals [m]."""
        return self.residuals.square().nanmean().sqrt().item()

    def in_frame(self, recording: Recording) -> Recording:
        """The recording in the reference frame: displacements from the held state, added to the reference.

        Markers are placed less exactly than they are seen, so absolute positions would carry the residuals
        along. A marker that was not seen while held has no displacement, and is missing throughout.
        """
        if recording.names != self.names:
            raise ObservationError(
                f"{recording.source}: the markers must be those registered, {', '.join(self.names)}; "
                f"got {', '.join(recording.names)}."
            )
        moved = (recording.markers.double() - self.held) @ self.rotation.T
        return Recording(recording.times, self.reference + moved, recording.names, recording.source)


def register(recording: Recording, reference: Float[Tensor, "K 3"], *, held: tuple[int, int]) -> Registration:
    """The rigid motion, without reflection, that best brings the markers onto their reference positions.

    Least squares in closed form (Kabsch 1976, "A solution for the best rotation to relate two sets of
    vectors"), in double precision, of the markers' means over the frames in which the body was held still.

    Args:
        recording: positions in the cameras' frame.
        reference: where the markers are on the body at rest, in the frame to simulate in [m].
        held: first frame held, and the first one after.

    Raises:
        ObservationError: a reference of the wrong shape or not finite, frames outside the recording, fewer
            than three markers seen while held, or all of them on a line.
    """
    if reference.shape != recording.markers.shape[1:] or not reference.isfinite().all():
        raise ObservationError(
            f"{recording.source}: reference must be finite positions of its {len(recording.names)} markers, "
            f"of shape ({len(recording.names)}, 3); got shape {tuple(reference.shape)}."
        )
    samples = recording.window(*held).markers.double()
    means, reference = samples.nanmean(0), reference.double()
    usable = ~means.isnan().any(-1)
    _check_usable(recording, usable.tolist())
    centre, target = means[usable].mean(0), reference[usable].mean(0)
    for cloud, what in ((means[usable] - centre, "recorded"), (reference[usable] - target, "reference")):
        extents = torch.linalg.svdvals(cloud)
        if not extents[1] > NARROWEST * extents[0]:
            raise ObservationError(
                f"{recording.source}: the {what} positions of the {len(cloud)} markers seen in frames {held} "
                "lie on a line, which leaves the rotation around it open; use a marker beside it."
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
    unseen = [name for name, seen in zip(recording.names, usable, strict=True) if not seen]
    if sum(usable) < 3:
        raise ObservationError(
            f"{recording.source}: a registration needs at least 3 markers seen while held, "
            f"got {sum(usable)} of {len(usable)}; not seen: {', '.join(unseen) or 'none'}."
        )
    if unseen:
        warnings.warn(
            f"{recording.source}: not seen while held, so without displacement: {', '.join(unseen)}.",
            stacklevel=3,
        )


def _best_rotation(points: Float[Tensor, "K 3"], targets: Float[Tensor, "K 3"]) -> Float[Tensor, "3 3"]:
    """R, det R = 1, with the least sum of |R point - target|²."""
    U, _, Vh = torch.linalg.svd(targets.T @ points)
    # Without a reflection: the sign costs least in the direction in which the markers spread least.
    signs = torch.stack([U.new_ones(()), U.new_ones(()), torch.linalg.det(U @ Vh).sign()])
    return (U * signs) @ Vh
