"""The loss of a fit, and the residual of what it found."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.errors import ObservationError


class PositionLoss(nn.Module):
    """Mean square distance between simulated and observed points, in units of `scale`.

    The mean runs over scenes, frames and points, so that it does not grow with the number of steps; points
    that were not observed (NaN) do not count. With the root mean square motion
    as `scale`, a body that does not move has a loss of about 1.

    Args:
        scale: the unit of length [m].
        frames: the frames that count: "all", "last", or a list of indices.

    Raises:
        ValueError: a scale that is not a positive length, or frames that are none of these.
        ObservationError: when called with simulated and observed points of different shapes.
    """

    def __init__(self, scale: float = 1.0, *, frames: str | Sequence[int] = "all") -> None:
        super().__init__()
        if not 0 < scale < float("inf"):
            raise ValueError(f"the scale of a loss must be a positive length, got {scale}.")
        self.scale, self.frames = scale, _checked_frames(frames)

    def forward(
        self, simulated: Float[Tensor, "*batch T K 3"], observed: Float[Tensor, "*batch T K 3"]
    ) -> Float[Tensor, ""]:
        _check_shapes(simulated, observed)
        simulated, observed = self._selected(simulated), self._selected(observed)
        present = ~observed.isnan().any(-1, keepdim=True)
        # The difference is masked before it is squared: 0 times nan would be nan in the gradient.
        difference = torch.where(present, simulated - observed.nan_to_num(), 0.0)
        return difference.square().sum() / (present.sum() * self.scale**2)

    def _selected(self, points: Tensor) -> Tensor:
        if self.frames == "all":
            return points
        frames = [-1] if isinstance(self.frames, str) else self.frames
        count = points.shape[-3]
        if wrong := [frame for frame in frames if not -count <= frame < count]:
            raise ValueError(f"frames of the loss: {wrong[0]} is not among the {count} observed frames.")
        return points[..., frames, :, :]

    def extra_repr(self) -> str:
        return f"scale = {self.scale:.3g} m, frames = {self.frames!r}"


def _checked_frames(frames: str | Sequence[int]) -> str | list[int]:
    if isinstance(frames, str) and frames in ("all", "last"):
        return frames
    try:
        indices = [] if isinstance(frames, str) else list(map(operator.index, frames))
    except TypeError:
        indices = []
    if not indices:
        raise ValueError(
            f"frames must be 'all', 'last' or a list of at least one index, whole numbers from 0 (or from "
            f"the end, below 0), got {frames!r}."
        )
    return indices


def _check_shapes(simulated: Tensor, observed: Tensor) -> None:
    """Refuse points that would be broadcast: each simulated point is compared with the observed one."""
    if simulated.shape != observed.shape or simulated.ndim < 3 or simulated.shape[-1] != 3:
        raise ObservationError(
            "simulated and observed must be points of the same shape, (scenes, frames, points, 3), got "
            f"{tuple(simulated.shape)} simulated and {tuple(observed.shape)} observed. Give one initial "
            "state per observed scene, one time per observed frame and one sensor per observed point, NaN "
            "where a point was not observed; expand() what is shared."
        )


def residual(simulated: Float[Tensor, "T K 3"], observed: Float[Tensor, "T K 3"]) -> dict[str, float]:
    """Return the root mean square distance [m] over all observed points, and that along each axis.

    Raises:
        ObservationError: if the shapes differ.
    """
    _check_shapes(simulated, observed)
    squares = (simulated - observed).square().flatten(0, -2)
    directions = squares.nanmean(0).sqrt().tolist()
    return {"rms": float(squares.sum(-1).nanmean().sqrt()), **dict(zip("xyz", directions, strict=True))}


def format_residual(residual: Mapping[str, float]) -> str:
    """Format a residual for display, in millimetres."""
    parts = ", ".join(f"{axis} {1e3 * residual[axis]:.3f}" for axis in "xyz")
    return f"{1e3 * residual['rms']:.3f} mm rms ({parts})"
