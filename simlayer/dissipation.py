"""Dissipation: maps on velocities, solved rather than integrated, so that any time step is stable."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.forces.terms import Term
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import Quantity
from simlayer.state import State


class StepContext(NamedTuple):
    """The duration and masses that a dissipation is applied with.

    Attributes:
        dt: the time for which they act [s].
        inverse_masses: the reciprocal mass of each vertex [1/kg].
    """

    dt: float
    inverse_masses: Float[Tensor, "*batch N"]


class Dissipation(PhysicalModule, ABC):
    """A map on velocities that takes energy out.

    Attributes:
        has_term: whether implicit steps solve for it, by its `term`; otherwise they apply the map for half of
            the step before and half after.
    """

    has_term: ClassVar[bool] = False

    @abstractmethod
    def forward(
        self, state: State, velocities: Float[Tensor, "*batch N 3"], context: StepContext
    ) -> Float[Tensor, "*batch N 3"]:
        """Return the velocities at the end of a step [m/s], from those that the forces alone would give.

        `state` is the state at the start of the step.
        """

    def term(self, start: Float[Tensor, "*batch N 3"], predicted: Float[Tensor, "*batch N 3"]) -> Term:
        """Return what this adds to the incremental potential of an implicit step, see `Force.term`."""
        raise NotImplementedError(f"{type(self).__name__} has no term for implicit steps.")

    def connect(self, forces: nn.ModuleDict) -> None:
        """Keep the forces that this refers to by name; called by the step that owns them all."""


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

    This is a drag at every step, not only a limit: at 0.4 v_max it takes 1.3 % of the speed per step, however
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
