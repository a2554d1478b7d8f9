"""Held vertices that follow a path."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def motion_controls(path: Float[Tensor, "frames *batch N 3"], dt: float) -> dict[str, Tensor]:
    """Controls that take the held vertices along a path, exactly at every step and straight in between.

        rollout(State.at_rest(positions), controls=motion_controls(path, rollout.step.dt))

    Differentiable in the path. Only differences count: a path of `(T+1, *batch, 1, 3)` moves all held
    vertices alike, from wherever they start.

    Args:
        path: positions [m] at the start and after each of T steps; those of components that are not held
            are not read.
        dt: duration of a step [s].

    Raises:
        ValueError: if the path has no step.
    """
    if len(path) < 2:
        raise ValueError(f"path must hold the start and at least one step, got shape {tuple(path.shape)}.")
    return {"prescribed_velocities": path.diff(dim=0) / dt}
