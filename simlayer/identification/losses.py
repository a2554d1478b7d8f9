"""Losses, and how far a fit is from the observations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class PositionLoss(nn.Module):
    """Mean square distance of simulated points from the seen ones, in units of how far they move.

    The mean runs over scenes, frames and points, so that it does not grow with the number of steps; points
    that were not seen (NaN) do not count. A body that stays where it was has a loss of about 1.

    Args:
        scale: the unit of length [m].
        frames: the frames that count: "all", "last", or indices of them.
    """

    def __init__(self, scale: float = 1.0, *, frames: str | Sequence[int] = "all") -> None:
        super().__init__()
        if not 0 < scale < float("inf"):
            raise ValueError(f"the scale of a loss must be a positive length, got {scale}.")
        if isinstance(frames, str) and frames not in ("all", "last"):
            raise ValueError(f"frames must be 'all', 'last' or a list of indices, got {frames!r}.")
        self.scale, self.frames = scale, frames

    def forward(
        self, simulated: Float[Tensor, "*batch T K 3"], seen: Float[Tensor, "*batch T K 3"]
    ) -> Float[Tensor, ""]:
        simulated, seen = self._counted(simulated), self._counted(seen)
        known = ~seen.isnan().any(-1, keepdim=True)
        # The difference is masked before it is squared: 0 times nan would be nan in the gradient.
        difference = torch.where(known, simulated - seen.nan_to_num(), 0.0)
        return difference.square().sum() / (known.sum() * self.scale**2)

    def _counted(self, points: Tensor) -> Tensor:
        if self.frames == "all":
            return points
        frames = [-1] if self.frames == "last" else list(map(int, self.frames))
        count = points.shape[-3]
        if wrong := [frame for frame in frames if not -count <= frame < count]:
            raise ValueError(f"frames of the loss: {wrong[0]} is not among the {count} that were seen.")
        return points[..., frames, :, :]

    def extra_repr(self) -> str:
        return f"scale = {self.scale:.3g} m, frames = {self.frames!r}"


def residual(simulated: Float[Tensor, "T K 3"], seen: Float[Tensor, "T K 3"]) -> dict[str, float]:
    """Root mean square differences [m] over all points that were seen: in each direction, and in all."""
    squares = (simulated - seen).square().flatten(0, -2)
    directions = squares.nanmean(0).sqrt().tolist()
    return {"rms": float(squares.sum(-1).nanmean().sqrt()), **dict(zip("xyz", directions, strict=True))}


def described(residual: Mapping[str, float]) -> str:
    """The same for people."""
    parts = ", ".join(f"{axis} {1e3 * residual[axis]:.3f}" for axis in "xyz")
    return f"{1e3 * residual['rms']:.3f} mm rms ({parts})"
