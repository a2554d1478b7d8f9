"""Positions between the frames of a rollout."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from simlayer.state import State


def max_frame_steps(times: Float[Tensor, "T"], dt: float, frames: int, *, left: float) -> float:
    """Return how many steps may lie between two frames, for `frames` of them between two observations.

    A single observation at the end of the rollout needs no other frame; one with a time `left` [s] after it
    does.
    """
    if len(times) > 1:
        left = float(times.diff().min())
    elif left < dt:
        return float("inf")
    return max(left / dt / frames, 1.0)


def interpolate_frames(
    frames: State, interval: float, times: Float[Tensor, "T"]
) -> Float[Tensor, "T *batch N 3"]:
    """Return positions at times [s] from frames `(F, *batch, N, 3)` at intervals [s]; rest before t = 0."""
    last = len(frames.positions) - 1
    parts = (times / interval).clamp(0, last)
    # A time that is a whole number of intervals must not fall short of it by rounding.
    index = (parts.detach() + 1e-9).floor().long().clamp(max=last - 1)
    s = (parts - index)[(..., *[None] * (frames.positions.ndim - 1))]
    x0, x1 = frames.positions[index], frames.positions[index + 1]
    v0, v1 = interval * frames.velocities[index], interval * frames.velocities[index + 1]
    return x0 + s * s * (3 - 2 * s) * (x1 - x0) + s * (1 - s) * ((1 - s) * v0 - s * v1)
