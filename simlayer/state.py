"""The state of a body between two steps."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class State(NamedTuple):
    """Positions [m] and velocities [m/s] of all vertices, with any number of batch axes in front.

    `history` is what a step carries from one call to the next beyond these two: an acceleration or a past
    state, then for every force with internal variables these, `(*batch, K, 3)`. It is empty where nothing
    more is needed, and a rollout fills it at its start.
    """

    positions: Float[Tensor, "*batch N 3"]
    velocities: Float[Tensor, "*batch N 3"]
    history: tuple[Float[Tensor, "*batch _ 3"], ...] = ()

    @classmethod
    def at_rest(cls, positions: Float[Tensor, "*batch N 3"]) -> State:
        """Return the state with these positions and no velocity."""
        return cls(positions, torch.zeros_like(positions))

    def to(self, target: torch.dtype | torch.device | str) -> State:
        """Return the state in another dtype, or on another device."""
        past = tuple(tensor.to(target) for tensor in self.history)
        return State(self.positions.to(target), self.velocities.to(target), past)
