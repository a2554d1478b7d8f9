"""How far simulated points are from those seen."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor


def residual(simulated: Float[Tensor, "T K 3"], seen: Float[Tensor, "T K 3"]) -> dict[str, float]:
    """Root mean square differences [m] over all points that were seen: in each direction, and in all."""
    squares = (simulated - seen).square().flatten(0, -2)
    directions = squares.nanmean(0).sqrt().tolist()
    return {"rms": float(squares.sum(-1).nanmean().sqrt()), **dict(zip("xyz", directions, strict=True))}


def described(residual: Mapping[str, float]) -> str:
    """The same for people."""
    parts = ", ".join(f"{axis} {1e3 * residual[axis]:.3f}" for axis in "xyz")
    return f"{1e3 * residual['rms']:.3f} mm rms ({parts})"
