"""What a dissipation is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from simlayer.quantities import PhysicalModule
from simlayer.state import State


class Surroundings(NamedTuple):
    """What a step tells its dissipations.

    Attributes:
        dt: how long they act [s].
        forces: the step's forces by name.
        inverse_masses: of the vertices [1/kg].
    """

    dt: float
    forces: nn.ModuleDict
    inverse_masses: Float[Tensor, "*batch N"]


class LaggedPotential(ABC):
    """A dissipation potential of each vertex's velocity; all else is taken from the start of a step."""

    @abstractmethod
    def energy(self, velocities: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N"]:
        """The potential [W], convex."""

    @abstractmethod
    def gradient(self, velocities: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        """Its derivative, minus the force [N]."""

    @abstractmethod
    def hessian(self, velocities: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3 3"]:
        """Its second derivative [N s/m]."""


class Dissipation(PhysicalModule, ABC):
    """A map on velocities that takes energy out.

    Attributes:
        has_potential: whether implicit steps take its `lagged_potential` into their sum; without, they apply
            the map for half of the step before and half after.
    """

    has_potential: ClassVar[bool] = False

    def connect(self, forces: nn.ModuleDict) -> None:
        """Check the forces that this one refers to by name; called by the step that owns them all."""

    @abstractmethod
    def forward(
        self, state: State, velocities: Float[Tensor, "*batch N 3"], surroundings: Surroundings
    ) -> Float[Tensor, "*batch N 3"]:
        """Velocities [m/s] in the end, from those that the forces alone would give.

        `state` is the state at the start of the step.
        """

    def lagged_potential(
        self, positions: Float[Tensor, "*batch N 3"], forces: nn.ModuleDict
    ) -> LaggedPotential:
        """The potential of which it is the dissipation, with what follows from positions at the start."""
        raise NotImplementedError(f"{type(self).__name__} has no potential.")
