"""The interfaces of forces, potentials and dissipation potentials."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from simlayer.forces.energy_derivatives import Derivatives
from simlayer.forces.terms import Term
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.state import State


class Force(PhysicalModule, ABC):
    """Forces on vertices as a function of the state.

    Attributes:
        has_term: whether implicit steps solve for this force, by its `term`; otherwise they take it from the
            start of the step.
        at_end: whether that term acts as it is at their end, see `Term`.
    """

    has_term: ClassVar[bool] = False
    at_end: ClassVar[bool] = False

    @abstractmethod
    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        """Return the nodal forces [N].

        One vector may be that of all vertices or samples, by axes that are missing or of length 1.
        """

    def term(self, start: Float[Tensor, "*batch N 3"], predicted: Float[Tensor, "*batch N 3"]) -> Term:
        """Return what this force adds to the incremental potential of an implicit step.

        Args:
            start: positions at the start of the step.
            predicted: an explicit guess of those at its end, as accurate as the step.
        """
        raise NotImplementedError(f"{type(self).__name__} has no term for implicit steps.")

    def connect(self, forces: nn.ModuleDict) -> None:
        """Keep the forces that this one refers to by name; called by the step that owns them all."""

    def stiffness_bound(self, state: State | None) -> Float[Tensor, "*batch #M"]:
        """Return an upper bound of the largest eigenvalue of each element's stiffness [N/m].

        At a state, or at rest. Where the lumped masses of its nodes differ: of W^-½ K W^-½ with W
        these masses over their mean. For the stable dt of an explicit step; zero without elements.
        """
        return torch.zeros(1)

    def damping_bound(self, state: State | None) -> Float[Tensor, "*batch #M"]:
        """Return an upper bound of the largest eigenvalue of each element's damping [N s/m].

        As `stiffness_bound`, for minus the derivative of the force by the velocities.
        """
        return torch.zeros(1)

    def vertex_stiffness(self, state: State | None) -> Float[Tensor, "*batch #N"]:
        """Return the stiffness that this force gives to single vertices [N/m], beside that of elements.

        At a state, or None: the largest that it is meant to reach.
        """
        return torch.zeros(1)

    def prepare(self, state: State) -> None:
        """Do what must not happen inside a step, for states of this shape; called at a rollout's edge."""


class Potential(Force, Term, ABC):
    """A force that is minus the gradient of an energy.

    A new potential supplies `energy(positions)`; its force and Hessian product are traced from it once per
    shape of the state, into plain operators that work eager, checkpointed, compiled and in forward mode.
    What it reads other than its quantities, parameters and buffers is frozen then. With `connectivity` and
    `hessian_blocks` implicit steps assemble its Hessian, without they only multiply with it.

    Attributes:
        conservative: whether the energy is all that the body gives back; not that of a force with a past,
            which is one for the length of a step only.
    """

    has_term: ClassVar[bool] = True
    sets_scale: ClassVar[bool] = True
    conservative: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._derivatives = Derivatives()

    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        return -self._derivatives.gradient(self, state.positions)

    def term(self, start: Float[Tensor, "*batch N 3"], predicted: Float[Tensor, "*batch N 3"]) -> Term:
        return self

    def gradient(self, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        return -self(State.at_rest(vectors))

    def hessian_product(
        self, positions: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch N 3"]:
        return self._derivatives.hessian_product(self, positions, direction)

    def prepare(self, state: State) -> None:
        if type(self).forward is Potential.forward:
            self.forward(state)


class RatePotential(Force, ABC):
    """A force that is minus the gradient of a dissipation potential with respect to the velocities.

    A new one supplies `energy(positions, velocities)`, from which the rest is traced as for a `Potential`.
    The power that it takes out is `(gradient * velocities).sum()`: twice the potential where that is
    quadratic. In explicit steps it is a force like any other; implicit steps solve for it, with the positions
    predicted from the start of the step, which keeps their order.

    Attributes:
        quadratic: whether the potential is quadratic in the velocities, half the power that it takes out.
    """

    has_term: ClassVar[bool] = True
    quadratic: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self._derivatives = Derivatives()

    @abstractmethod
    def energy(
        self, positions: Float[Tensor, "*batch N 3"], velocities: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch"]:
        """Return the dissipation potential [W] of each sample."""

    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        return -self._derivatives.gradient(self, state.positions, state.velocities)

    def term(self, start: Float[Tensor, "*batch N 3"], predicted: Float[Tensor, "*batch N 3"]) -> Term:
        return _RateTerm(self, predicted)

    def damping_product(
        self,
        positions: Float[Tensor, "*batch N 3"],
        velocities: Float[Tensor, "*batch N 3"],
        direction: Float[Tensor, "*batch N 3"],
    ) -> Float[Tensor, "*batch N 3"]:
        """Return the second derivative by the velocities times a direction [N], for a direction in m/s."""
        return self._derivatives.hessian_product(self, positions, velocities, direction)

    @property
    def connectivity(self) -> Int[Tensor, "M C"] | None:
        """The C vertices that each of M parts of the potential depends on, as for a `Potential`."""
        return None

    def hessian_blocks(
        self,
        positions: Float[Tensor, "*batch N 3"],
        velocities: Float[Tensor, "*batch N 3"],
        *,
        projected: bool = False,
    ) -> Float[Tensor, "*batch M D D"]:
        """Return the second derivative of each part by the velocities [N s/m], D = 3 C, as `Term` does."""
        raise NotImplementedError(f"{type(self).__name__} has no connectivity.")

    def prepare(self, state: State) -> None:
        if type(self).forward is RatePotential.forward:
            self.forward(state)


class _RateTerm(Term):
    """A dissipation potential as a function of the velocities, with its positions fixed."""

    of_velocities = True

    def __init__(self, potential: RatePotential, positions: Tensor) -> None:
        self.potential, self.positions = potential, positions

    @property
    def connectivity(self) -> Int[Tensor, "M C"] | None:
        return self.potential.connectivity

    def energy(self, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        return self.potential.energy(self.positions, vectors)

    def gradient(self, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        return -self.potential(State(self.positions, vectors))

    def energy_and_gradient(
        self, vectors: Float[Tensor, "*batch N 3"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch N 3"]]:
        gradient = self.gradient(vectors)
        if self.potential.quadratic:
            return 0.5 * (gradient * vectors).sum((-1, -2)), gradient
        return self.energy(vectors), gradient

    def hessian_blocks(
        self, vectors: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*batch M D D"]:
        return self.potential.hessian_blocks(self.positions, vectors, projected=projected)

    def hessian_product(
        self, vectors: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch N 3"]:
        return self.potential.damping_product(self.positions, vectors, direction)
