"""What a force is, and what a force that comes from an energy is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from simlayer.forces.energy_derivatives import Derivatives
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.state import State


class Force(PhysicalModule, ABC):
    """Forces on vertices as a function of the state."""

    @abstractmethod
    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        """Nodal forces [N]."""

    def connect(self, forces: nn.ModuleDict) -> None:
        """Take note of the forces that this one refers to by name; called by the step that owns them all."""

    def stiffness_bound(self, state: State | None) -> Float[Tensor, "*batch #M"]:
        """No less than the largest eigenvalue of each element's stiffness [N/m], at a state or at rest.

        Where the lumped masses of its corners differ: of W^-½ K W^-½ with W these masses over their mean.
        For the stable time step of an explicit step; zero for a force that does not know elements.
        """
        return torch.zeros(1)

    def damping_bound(self, state: State | None) -> Float[Tensor, "*batch #M"]:
        """The same for its damping, minus the derivative of the force by the velocities [N s/m]."""
        return torch.zeros(1)

    def vertex_stiffness(self, state: State | None) -> Float[Tensor, "*batch #N"]:
        """The stiffness that it gives to single vertices [N/m], beside that of elements.

        At a state, or None: the largest that it is meant to reach.
        """
        return torch.zeros(1)

    def prepare(self, state: State) -> None:
        """Do what must not happen inside a step, for states of this shape; called at a rollout's edge."""


class Potential(Force, ABC):
    """A force that is minus the gradient of an energy.

    A new potential supplies `energy(positions)`; its force and Hessian product are traced from it once per
    shape of the state, into plain operators that work eager, checkpointed, compiled and in forward mode.
    What it reads other than its quantities, parameters and buffers is frozen then.
    """

    def __init__(self) -> None:
        super().__init__()
        self._derivatives = Derivatives()

    @abstractmethod
    def energy(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        """The energy [J] of each sample."""

    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        return -self._derivatives.gradient(self, state.positions)

    def hessian_product(
        self, positions: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch N 3"]:
        """The derivative of the energy's gradient along a direction [N]."""
        return self._derivatives.hessian_product(self, positions, direction)

    @property
    def couplings(self) -> Int[Tensor, "M C"] | None:
        """The C vertices that each of the M terms of the energy depends on, None where that is not known.

        With them a potential supplies `hessian_blocks`, and implicit steps assemble its Hessian; without,
        they only multiply with it. No rows where the Hessian is zero.
        """
        return None

    def hessian_blocks(
        self, positions: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*batch M D D"]:
        """The Hessian of each term of the energy [N/m], D = 3 C, by vertex, then component.

        Args:
            positions: where.
            projected: onto the semi-definite matrices, for a direction in which the energy falls.
        """
        raise NotImplementedError(f"{type(self).__name__} has no couplings.")

    def longest_move(
        self, positions: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch"]:
        """The part of a move, at most 1, that stays where the energy is finite."""
        return positions.new_ones(positions.shape[:-2])

    def prepare(self, state: State) -> None:
        if type(self).forward is Potential.forward:
            self.forward(state)


class RatePotential(Force, ABC):
    """A force that is minus the gradient of a dissipation potential with respect to the velocities.

    A new one supplies `energy(positions, velocities)`, from which the rest is traced as for a `Potential`.
    The power that it takes out is `(gradient * velocities).sum()`: twice the potential where that is
    quadratic. In explicit steps it is a force like any other; implicit steps solve for it, with the positions
    predicted from the start of the step, which keeps their order.
    """

    def __init__(self) -> None:
        super().__init__()
        self._derivatives = Derivatives()

    @abstractmethod
    def energy(
        self, positions: Float[Tensor, "*batch N 3"], velocities: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch"]:
        """The dissipation potential [W] of each sample."""

    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        return -self._derivatives.gradient(self, state.positions, state.velocities)

    def rate_product(
        self,
        positions: Float[Tensor, "*batch N 3"],
        velocities: Float[Tensor, "*batch N 3"],
        direction: Float[Tensor, "*batch N 3"],
    ) -> Float[Tensor, "*batch N 3"]:
        """The second derivative by the velocities times a direction [N], for a direction in m/s."""
        return self._derivatives.hessian_product(self, positions, velocities, direction)

    @property
    def couplings(self) -> Int[Tensor, "M C"] | None:
        """The C vertices that each of the M terms of the potential depends on, as for a `Potential`."""
        return None

    def hessian_blocks(
        self,
        positions: Float[Tensor, "*batch N 3"],
        velocities: Float[Tensor, "*batch N 3"],
        *,
        projected: bool = False,
    ) -> Float[Tensor, "*batch M D D"]:
        """The second derivative of each term by the velocities [N s/m], D = 3 C, by vertex, then component.

        Args:
            positions, velocities: where.
            projected: onto the semi-definite matrices, for a direction in which the potential falls.
        """
        raise NotImplementedError(f"{type(self).__name__} has no couplings.")

    def prepare(self, state: State) -> None:
        if type(self).forward is RatePotential.forward:
            self.forward(state)
