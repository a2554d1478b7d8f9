"""Lumped and consistent mass matrices of implicit steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.autodiff.implicit_function import ImplicitFunction
from simlayer.errors import ConvergenceError
from simlayer.fem.finite_elements import FiniteElements
from simlayer.forces.terms import Term
from simlayer.solvers.conjugate_gradients import conjugate_gradients
from simlayer.solvers.problem import flattened
from simlayer.steps.base import Step

_TOLERANCE = {torch.float64: 1e-14, torch.float32: 1e-6}


class MassMatrix(ABC):
    """A mass matrix with the densities or masses of a call."""

    @property
    @abstractmethod
    def connectivity(self) -> Int[Tensor, "M C"]:
        """The vertices that each block couples."""

    @abstractmethod
    def product(self, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        """Return the matrix times vectors [kg]."""

    @abstractmethod
    def blocks(self) -> Float[Tensor, "*#batch M D D"]:
        """Return the blocks that add up to the matrix [kg], D = 3 C."""


class LumpedMass(MassMatrix):
    """A mass at every vertex."""

    def __init__(self, masses: Float[Tensor, "*batch N"]) -> None:
        self.masses = masses

    @property
    def connectivity(self) -> Int[Tensor, "N 1"]:
        return torch.arange(self.masses.shape[-1], device=self.masses.device)[:, None]

    def product(self, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        return self.masses[..., None] * vectors

    def blocks(self) -> Float[Tensor, "*batch N 3 3"]:
        return self.masses[..., None, None] * torch.eye(3).to(self.masses)


class ConsistentMass(MassMatrix):
    """The kinetic energy of the interpolated velocities: couples the vertices of a cell.

    Args:
        elements: the cells.
        density: one value `()` or `(*batch, 1)`, or one per cell `(*batch, M)` [kg/m³].
    """

    def __init__(self, elements: FiniteElements, density: Tensor) -> None:
        self.elements, self.density = elements, density

    @property
    def connectivity(self) -> Int[Tensor, "M C"]:
        return self.elements.connectivity

    def product(self, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        return self.elements.mass_product(self.density, vectors)

    def blocks(self) -> Float[Tensor, "*#batch M D D"]:
        scalars = self.elements.mass_blocks(self.density)
        return torch.kron(scalars, torch.eye(3).to(scalars))


class Inertia(Term):
    """The term factor/2 |x - target|² in the norm of a mass matrix.

    Args:
        mass: the matrix.
        factor: of the masses [1/s²].
        target: where the vertices would be without forces [m].
    """

    def __init__(self, mass: MassMatrix, factor: float, target: Float[Tensor, "*batch N 3"]) -> None:
        self.mass, self.factor, self.target = mass, factor, target

    @property
    def connectivity(self) -> Int[Tensor, "M C"]:
        return self.mass.connectivity

    def energy(self, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        moved = vectors - self.target
        return (0.5 * self.factor * self.mass.product(moved) * moved).sum((-1, -2))

    def gradient(self, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        return self.factor * self.mass.product(vectors - self.target)

    def energy_and_gradient(
        self, vectors: Float[Tensor, "*batch N 3"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch N 3"]]:
        gradient = self.gradient(vectors)
        return 0.5 * (gradient * (vectors - self.target)).sum((-1, -2)), gradient

    def hessian_blocks(
        self, vectors: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*#batch M D D"]:
        return self.factor * self.mass.blocks()


class MassProportionalDamping(Term):
    """The dissipation potential coefficient/2 |v|² in the norm of a mass matrix.

    Args:
        mass: the matrix.
        coefficient: of the damping [1/s], `()` or `(*batch, 1)`.
    """

    of_velocities = True
    at_end = True  # so that the first accelerations of a step with a history count it

    def __init__(self, mass: MassMatrix, coefficient: Float[Tensor, "*batch_and_one"]) -> None:
        self.mass, self.coefficient = mass, coefficient

    @property
    def connectivity(self) -> Int[Tensor, "M C"]:
        return self.mass.connectivity

    def energy(self, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        return 0.5 * (self.gradient(vectors) * vectors).sum((-1, -2))

    def gradient(self, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        return self.coefficient[..., None] * self.mass.product(vectors)

    def hessian_blocks(
        self, vectors: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*batch M D D"]:
        return self.coefficient[..., None, None] * self.mass.blocks()


def mass_matrices(step: Step, *, consistent: bool) -> list[MassMatrix]:
    """Return the matrices that add up to the mass of a body with what is attached to it."""
    if not consistent:
        return [LumpedMass(step.vertex_masses)]
    body = ConsistentMass(step.elements, step.density)
    if not step.masses:
        return [body]
    attached = step.attached_masses()
    return [body, LumpedMass(attached.expand(*attached.shape[:-1], step.num_vertices))]


def weighed(
    masses: Sequence[MassMatrix], vectors: Float[Tensor, "*batch N 3"]
) -> Float[Tensor, "*batch N 3"]:
    """Return the sum of mass matrices times vectors."""
    first, *others = (mass.product(vectors) for mass in masses)
    return sum(others, first)


def accelerations(
    step: Step, forces: Float[Tensor, "*batch N 3"], *, consistent: bool
) -> Float[Tensor, "*batch N 3"]:
    """Return the accelerations of the free components under forces, while the others rest [m/s²]."""
    if not consistent:
        return step.free * forces * step.inverse_masses[..., None]
    solve, elements = ConsistentMassSolve(step.elements, step.free), step.elements
    inputs = forces, step.density, step.attached_masses(), step.inverse_masses
    # An argument where it is that of a call: in backward the elements have that of the mesh again.
    return solve(*inputs) if elements.reshaped is None else solve(*inputs, elements.mass_weights)


class ConsistentMassSolve(ImplicitFunction):
    """The solution of M a = f in the free components, by conjugate gradients scaled by lumped masses."""

    def __init__(self, elements: FiniteElements, free: Tensor) -> None:
        self.elements, self.free = elements, free

    def find(self, *inputs: Tensor) -> Tensor:
        forces = inputs[0]
        return self.solve(forces, self.free * forces, *inputs)

    def residual(self, positions: Tensor, *inputs: Tensor) -> Tensor:
        forces, density, carried, _, *weights = inputs
        excess = self._product(density, carried, self.free * positions, *weights) - forces
        return self.free * excess + (1 - self.free) * positions

    def solve(self, positions: Tensor, right: Tensor, *inputs: Tensor) -> Tensor:
        _, density, carried, inverse_masses, *weights = inputs
        batch, free, inverse = right.shape, self.free, inverse_masses[..., None]

        def multiply(vectors: Tensor) -> Tensor:
            x = vectors.view(batch)
            return flattened(free * self._product(density, carried, free * x, *weights) + (1 - free) * x)

        with torch.no_grad():
            found = conjugate_gradients(
                multiply,
                flattened(right),
                lambda vectors: flattened((free * inverse + (1 - free)) * vectors.view(batch)),
                tolerance=_TOLERANCE[right.dtype],
                max_iterations=200,
            )
        if not bool((found.residual <= 100 * _TOLERANCE[right.dtype]).all()):
            if not bool(right.isfinite().all()):
                raise ConvergenceError(
                    "the forces on the vertices, or the gradients by their accelerations, are not finite. "
                    "Look at the state and the quantities that they are computed from."
                )
            raise ConvergenceError(
                "the consistent mass matrix could not be inverted: residual "
                f"{float(found.residual.max()):.1e} after {found.iterations} iterations. Use "
                "mass_matrix='lumped'."
            )
        return found.vectors.view(batch)

    def _product(
        self, density: Tensor, carried: Tensor, vectors: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        product = self.elements.mass_product(density, vectors, mass_weights=weights)
        return product + carried[..., None] * vectors
