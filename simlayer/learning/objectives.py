"""What a policy is trained for: functions of a motion and the policy inputs, the less the better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.errors import ObservationError
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.arrays import checked_floats, checked_integers, checked_numbers, described
from simlayer.state import State


class DistanceToGoal(nn.Module):
    """The mean distance of a point of a body from a goal, over the end of a motion [m].

    Args:
        vertices: indices of the vertices whose mean is the point, `(K,)`.
        last: the share of the frames that count, those at the end, above 0 and up to 1.
    """

    unit = "m"
    vertices: Tensor

    def __init__(self, vertices: Any, *, last: float = 0.3) -> None:
        super().__init__()
        indices = checked_integers("vertices", vertices)
        if indices.ndim != 1 or not len(indices) or bool((indices < 0).any()):
            raise ValueError(f"vertices must be at least one index, each from 0, got {described(vertices)}.")
        self.register_buffer("vertices", indices, persistent=False)
        self.last = checked_number("last", last, above=0.0, most=1.0)

    def point(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch 3"]:
        """Return the point [m]."""
        return positions.index_select(-2, self.vertices).mean(-2)

    def forward(self, motion: State, goal: Float[Tensor, "B 3"]) -> Float[Tensor, "B"]:
        """Return the distance in each sample, given frames `(F, B, N, 3)`."""
        expected = (*motion.positions.shape[1:-2], 3)
        if checked_floats("goal", goal).shape != expected:
            raise ObservationError(f"goal must be a point per sample, {expected}, got {described(goal)}.")
        count = math.ceil(self.last * len(motion.positions))
        return (self.point(motion.positions[-count:]) - goal).norm(dim=-1).mean(0)


class Travel(nn.Module):
    """How far the mean vertex of a body gets against a direction [m]: less than zero if it gets along.

    Args:
        direction: of any length, `(3,)`.
    """

    unit = "m"
    direction: Tensor

    def __init__(self, direction: Sequence[float] = (1.0, 0.0, 0.0)) -> None:
        super().__init__()
        vector = checked_numbers("direction", direction)
        if vector.shape != (3,) or not 0 < float(vector.norm()) < math.inf:
            raise ValueError(f"direction must be three numbers that are not all zero, got {direction}.")
        unit = (vector / vector.norm()).to(torch.get_default_dtype())
        self.register_buffer("direction", unit, persistent=False)

    def along(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        """Return where the mean vertex is along the direction [m]."""
        return positions.mean(-2) @ self.direction

    def forward(self, motion: State, *inputs: Tensor) -> Float[Tensor, "B"]:
        """Return minus the distance in each sample, given frames `(F, B, N, 3)`."""
        return self.along(motion.positions[0]) - self.along(motion.positions[-1])
