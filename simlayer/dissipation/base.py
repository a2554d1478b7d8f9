"""What a dissipation is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from simlayer.quantities import PhysicalModule
from simlayer.state import State


class Dissipation(PhysicalModule, ABC):
    """A map on velocities that takes energy out."""

    @abstractmethod
    def forward(
        self,
        state: State,
        velocities: Float[Tensor, "*batch N 3"],
        dt: float,
        forces: nn.ModuleDict,
    ) -> Float[Tensor, "*batch N 3"]:
        """Velocities [m/s] after dt [s], from those that the forces alone would give.

        `state` is the state at the start of the step; `forces` are the step's forces by name.
        """
