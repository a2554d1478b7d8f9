"""How the mass of a body acts on its vertices in an implicit step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.autodiff.implicit_function import ImplicitFunction
from simlayer.errors import ConvergenceError
from simlayer.fem.finite_elements import FiniteElements
from simlayer.solvers.conjugate_gradients import conjugate_gradients
from simlayer.solvers.problem import flattened
from simlayer.steps.base import Step

_TOLERANCE = {torch.float64: 1e-14, torch.float32: 1e-6}


class MassMatrix(ABC):
    """The mass matrix of a step, which hands over its density and what the body carries."""

    @abstractmethod
    def product(self, step: Step, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        """The matrix times vectors [kg]."""

    @abstractmethod
    def accelerations(self, step: Step, forces: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        """Of the free components under forces on them, while the others rest [m/s²]."""

    @abstractmethod
    def couplings(self, step: Step) -> Sequence[Int[Tensor, "M C"]]:
        """The vertices of the cells that have blocks."""

    @abstractmethod
    def blocks(self, step: Step) -> Sequence[Float[Tensor, "*batch M D D"]]:
        """Of each cell [kg], D = 3 C."""

    @abstractmethod
    def diagonal(self, step: Step) -> Float[Tensor, "*batch #N"]:
        """What is to be added on the diagonal [kg]."""


class LumpedMass(MassMatrix):
    """A mass at every vertex."""

    def product(self, step: Step, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        return step.vertex_masses[..., None] * vectors

    def accelerations(self, step: Step, forces: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        return step.free * forces * step.inverse_masses[..., None]

    def couplings(self, step: Step) -> Sequence[Int[Tensor, "M C"]]:
        return ()

    def blocks(self, step: Step) -> Sequence[Float[Tensor, "*batch M D D"]]:
        return ()

    def diagonal(self, step: Step) -> Float[Tensor, "*batch #N"]:
        return step.vertex_masses


@dataclass(frozen=True)
class ConsistentMass(MassMatrix):
    """The kinetic energy of the interpolated velocities: couples the vertices of a cell.

    Attributes:
        at_rest: for a body that only weighs: without the blocks of inertia.
    """

    at_rest: bool = False

    def product(self, step: Step, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        return _product(step.elements, step.density, step.carried_masses(), vectors)

    def accelerations(self, step: Step, forces: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        accelerations = _Accelerations(step.elements, step.free, step.inverse_masses.detach())
        return accelerations(forces, step.density, step.carried_masses())

    def couplings(self, step: Step) -> Sequence[Int[Tensor, "M C"]]:
        return () if self.at_rest else (step.elements.connectivity,)

    def blocks(self, step: Step) -> Sequence[Float[Tensor, "*batch M D D"]]:
        if self.at_rest:
            return ()
        scalars = step.elements.mass_blocks(step.density)
        return (torch.kron(scalars, torch.eye(3, dtype=scalars.dtype, device=scalars.device)),)

    def diagonal(self, step: Step) -> Float[Tensor, "*batch #N"]:
        return step.carried_masses()


def _product(elements: FiniteElements, density: Tensor, carried: Tensor, vectors: Tensor) -> Tensor:
    return elements.mass_product(density, vectors) + carried[..., None] * vectors


class _Accelerations(ImplicitFunction):
    """The solution of M a = f in the free components, by conjugate gradients scaled by lumped masses."""

    def __init__(self, elements: FiniteElements, free: Tensor, inverse_masses: Tensor) -> None:
        self.elements, self.free, self.inverse_masses = elements, free, inverse_masses

    def find(self, *inputs: Tensor) -> Tensor:
        forces = inputs[0]
        return self.solve(forces, self.free * forces, *inputs)

    def residual(self, positions: Tensor, *inputs: Tensor) -> Tensor:
        forces, density, carried = inputs
        balance = _product(self.elements, density, carried, self.free * positions) - forces
        return self.free * balance + (1 - self.free) * positions

    def solve(self, positions: Tensor, right: Tensor, *inputs: Tensor) -> Tensor:
        _, density, carried = inputs
        batch, free, inverse = right.shape, self.free, self.inverse_masses[..., None]

        def multiply(vectors: Tensor) -> Tensor:
            x = vectors.view(batch)
            return flattened(free * _product(self.elements, density, carried, free * x) + (1 - free) * x)

        with torch.no_grad():
            found = conjugate_gradients(
                multiply,
                flattened(right),
                lambda vectors: flattened((free * inverse + (1 - free)) * vectors.view(batch)),
                tolerance=_TOLERANCE[right.dtype],
                max_iterations=200,
            )
        if not bool((found.residual <= 100 * _TOLERANCE[right.dtype]).all()):
            raise ConvergenceError(
                "the consistent mass matrix could not be inverted: residual "
                f"{float(found.residual.max()):.1e} after {found.iterations} iterations. Use "
                "mass_matrix='lumped'."
            )
        return found.vectors.view(batch)
