"""Dissipation: maps on velocities, solved rather than integrated, so that any time step is stable."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import Quantity
from simlayer.state import State


class StepContext(NamedTuple):
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
        self, state: State, velocities: Float[Tensor, "*batch N 3"], context: StepContext
    ) -> Float[Tensor, "*batch N 3"]:
        """Velocities [m/s] in the end, from those that the forces alone would give.

        `state` is the state at the start of the step.
        """

    def lagged_potential(
        self, positions: Float[Tensor, "*batch N 3"], forces: nn.ModuleDict
    ) -> LaggedPotential:
        """The potential of which it is the dissipation, with what follows from positions at the start."""
        raise NotImplementedError(f"{type(self).__name__} has no potential.")


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
        self, state: State, velocities: Float[Tensor, "*batch N 3"], context: StepContext
    ) -> Float[Tensor, "*batch N 3"]:
        return velocities * torch.exp(-context.dt * self.coefficient)[..., None]


# Below this fraction of the limit, tanh(limit/speed) is 1 in any precision, and its derivative is 0: the
# speed may be bounded from below there, which keeps 0/0 out of the gradient.
_NEGLIGIBLE = 1e-6


class SmoothVelocityClamp(Dissipation):
    """Smoothly limits each vertex's speed: v tanh(v_max/|v|).

    This is a drag at every step, not only a limit: at 0.4 v_max it takes 1.3 % of the speed a step, however
    short the step. Use it to survive a blow-up, not to model anything.

    Args:
        max_speed: v_max [m/s], positive.
    """

    max_speed = Quantity("m/s", positive=True)

    def __init__(self, max_speed: float | Tensor) -> None:
        super().__init__()
        self.max_speed = max_speed

    def forward(
        self, state: State, velocities: Float[Tensor, "*batch N 3"], context: StepContext
    ) -> Float[Tensor, "*batch N 3"]:
        limit = self.max_speed[..., None]
        # Summed in the order in which a rollout packs vectors, so that no compiled step transposes them.
        relative = (velocities / limit).movedim((-1, -2), (0, 1))
        square = (relative * relative).sum(0) + _NEGLIGIBLE**2
        return velocities * square.rsqrt().tanh().movedim(0, -1)[..., None]
