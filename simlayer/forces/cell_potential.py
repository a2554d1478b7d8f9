"""Potentials that are the integral over cells of a traced density of the deformation gradient."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property

from jaxtyping import Float, Int
from torch import Tensor

from simlayer.fem.finite_elements import FiniteElements
from simlayer.fem.stress_divergence import stress_forces
from simlayer.forces.base import Potential
from simlayer.forces.cell_terms import CellTerm, inherits
from simlayer.forces.module_energy import ModuleEnergy
from simlayer.forces.terms import Term
from simlayer.linalg.matrix3 import Matrix3
from simlayer.linalg.semidefinite import semidefinite_part
from simlayer.state import State

# A subclass that has one of these of its own is a term as every Potential is.
_TERM = (
    "energy", "forward", "gradient", "energy_and_gradient", "hessian_blocks", "connectivity",
    "feasible_fraction", "at_end", "sets_scale",
)  # fmt: skip


class CellPotential(Potential):
    """The integral over cells of an energy density of the deformation gradient.

    A subclass makes the two attributes in its constructor, and supplies the `coefficients`.

    Attributes:
        elements: the cells.
        traced_density: the energy density with its derivatives, as a function of the nine components of F.
        convex: whether the density is convex in F, so that its tangents are semi-definite as they are.
    """

    convex: bool = False

    elements: FiniteElements
    traced_density: ModuleEnergy

    @abstractmethod
    def coefficients(self, positions: Float[Tensor, "*batch N 3"]) -> list[Tensor]:
        """Return what the traced density reads beside F, for positions with so many axes."""

    def energy(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        F = self.elements.deformation_gradient(positions)
        return self.elements.integrate(self.traced_density.value(self.coefficients(positions), F))

    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        return stress_forces(
            self.traced_density, self.elements, self.coefficients(state.positions), state.positions
        )

    def term(self, start: Float[Tensor, "*batch N 3"], predicted: Float[Tensor, "*batch N 3"]) -> Term:
        return DensityTerm(self, predicted) if inherits(self, CellPotential, _TERM) else self

    def hessian_product(
        self, positions: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch N 3"]:
        F = self.elements.deformation_gradient(positions)
        dF = self.elements.deformation_gradient(direction)
        stress = self.traced_density.hessian_product(self.coefficients(positions), F, dF)
        return -self.elements.forces(Matrix3(*stress))

    @property
    def connectivity(self) -> Int[Tensor, "M C"]:
        return self.elements.connectivity

    def hessian_blocks(
        self, positions: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*batch M D D"]:
        return DensityTerm(self, positions).hessian_blocks(positions, projected=projected)

    def stiffness_bound(self, state: State | None) -> Float[Tensor, "*batch #M"]:
        bound = self.rest_stiffness_bound() if state is None else self._largest_eigenvalue(state.positions)
        return self.elements.over_all_cells(bound)

    @abstractmethod
    def rest_stiffness_bound(self) -> Float[Tensor, "*batch #K"]:
        """Return an upper bound of the largest eigenvalue of each cell's stiffness at rest [N/m]."""

    def _largest_eigenvalue(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch K"]:
        return self.elements.largest_eigenvalue(DensityTerm(self, positions).cell_tangents(positions))


class DensityTerm(CellTerm):
    """The energy of such a potential in one step, whose coefficients do not change meanwhile."""

    sets_scale = True

    def __init__(self, force: CellPotential, positions: Float[Tensor, "*batch N 3"]) -> None:
        self.force, self.elements, self.positions = force, force.elements, positions

    @cached_property
    def _coefficients(self) -> list[Tensor]:
        return self.force.coefficients(self.positions)

    def density(self, gradient: Matrix3) -> Float[Tensor, "*cells_and_batch"]:
        return self.force.traced_density.value(self._coefficients, gradient)

    def stress(self, gradient: Matrix3) -> Matrix3:
        return Matrix3(*self.force.traced_density.gradient(self._coefficients, gradient))

    def gradient(self, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        return -self.force(State.at_rest(vectors))  # one node of the autograd graph

    def tangents(
        self, gradient: Matrix3, *, projected: bool = False
    ) -> Float[Tensor, "*batch_and_points M 9 9"]:
        axes = 1 + self.elements.has_points
        tangents = self.force.traced_density.hessian(self._coefficients, gradient, point_axes=axes)
        return semidefinite_part(tangents) if projected and not self.force.convex else tangents
