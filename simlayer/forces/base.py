"""What a force is, and what a force that comes from an energy is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, fx

from simlayer.binding import bound, inputs_of
from simlayer.functional.tracing import trace
from simlayer.quantities import PhysicalModule
from simlayer.state import State


class Force(PhysicalModule, ABC):
    """Forces on vertices as a function of the state."""

    @abstractmethod
    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        """Nodal forces [N]."""

    def connect(self, forces: Mapping[str, Force]) -> None:
        """Look up the forces that this one refers to by name; called once by the step that owns them all."""

    def stiffness_bound(self, state: State | None) -> Float[Tensor, "*batch #M"]:
        """No less than the largest eigenvalue of each element's stiffness [N/m], at a state or at rest.

        Where the lumped masses of its corners differ: of W^-½ K W^-½ with W these masses over their mean.
        For the stable time step of an explicit step; zero for a force that does not know elements.
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
        self._traced: dict[Hashable, fx.GraphModule] = {}

    @abstractmethod
    def energy(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        """The energy [J] of each sample."""

    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        return -self._derivative("gradient", state.positions)

    def hessian_product(
        self, positions: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch N 3"]:
        """The derivative of the energy's gradient along a direction [N]."""
        return self._derivative("hessian_product", positions, direction)

    @property
    def couplings(self) -> Int[Tensor, "M C"] | None:
        """The C vertices that each of the M terms of the energy depends on, None where that is not known.

        With them a potential supplies `hessian_blocks`, and implicit steps assemble its Hessian; without,
        they only multiply with it.
        """
        return None

    def hessian_blocks(
        self, positions: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*batch M 3C 3C"]:
        """The Hessian of each term of the energy [N/m], rows and columns by vertex, then component.

        Args:
            positions: where.
            projected: onto the semi-definite matrices, for a direction in which the energy falls.
        """
        raise NotImplementedError(f"{type(self).__name__} has no couplings.")

    def prepare(self, state: State) -> None:
        if type(self).forward is Potential.forward:
            self.forward(state)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_traced": {}}

    def _derivative(self, kind: str, *arguments: Tensor) -> Tensor:
        # Buffers too, or a graph would go on with those that it was traced with.
        inputs = inputs_of(self) | dict(self.named_buffers())
        tensors = (*arguments, *inputs.values())
        key = (kind, *((tuple(t.shape), t.dtype, t.device) for t in tensors))
        if key not in self._traced:
            derivative = _gradient if kind == "gradient" else _hessian_product
            # Of the same shapes only: these may be those of a transform, which the tracer's thread lacks.
            example = [torch.ones(t.shape, dtype=t.dtype, device=t.device) for t in tensors]
            self._traced[key] = trace(partial(derivative, self, tuple(inputs)), *example)
        return self._traced[key](*tensors)


class RatePotential(Force, ABC):
    """A force that is minus the gradient of a dissipation potential with respect to the velocities.

    The power that it takes out is `(gradient * velocities).sum()`: twice the potential where that is
    quadratic. In explicit steps it is a force like any other; implicit steps solve for it, with the positions
    predicted from the start of the step, which keeps their order.
    """

    @abstractmethod
    def energy(
        self, positions: Float[Tensor, "*batch N 3"], velocities: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch"]:
        """The dissipation potential [W] of each sample."""

    @property
    @abstractmethod
    def couplings(self) -> Int[Tensor, "M C"]:
        """The C vertices that each of the M terms of the potential depends on."""

    @abstractmethod
    def hessian_blocks(
        self, positions: Float[Tensor, "*batch N 3"], velocities: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch M 3C 3C"]:
        """The second derivative of each term by the velocities [N s/m], by vertex, then component."""


def _gradient(potential: Potential, names: Sequence[str], positions: Tensor, *values: Tensor) -> Tensor:
    with bound(potential, dict(zip(names, values, strict=True))):
        return torch.func.grad(lambda x: potential.energy(x).sum())(positions)


def _hessian_product(
    potential: Potential, names: Sequence[str], positions: Tensor, direction: Tensor, *values: Tensor
) -> Tensor:
    def slope(x: Tensor) -> Tensor:
        return (_gradient(potential, names, x, *values) * direction).sum()

    return torch.func.grad(slope)(positions)
