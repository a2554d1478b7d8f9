"""Damping proportional to mass."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.dissipation.base import Dissipation, Surroundings
from simlayer.quantities import Quantity
from simlayer.state import State


class MassDamping(Dissipation):
    """Velocities decay as exp(-c t): the exact solution of m dv/dt = -c m v, whatever the time step.

    Args:
        coefficient: c [1/s], positive.
    """

    coefficient = Quantity("1/s", positive=True)

    def __init__(self, coefficient: float | Tensor) -> None:
        super().__init__()
        self.coefficient = coefficient

    def forward(
        self, state: State, velocities: Float[Tensor, "*batch N 3"], surroundings: Surroundings
    ) -> Float[Tensor, "*batch N 3"]:
        return velocities * torch.exp(-surroundings.dt * self.coefficient)[..., None]
