"""Terms of an incremental potential that are sums over the cells of a body."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from simlayer.fem.finite_elements import FiniteElements
from simlayer.forces.terms import Term
from simlayer.linalg.matrix3 import Matrix3


class CellTerm(Term):
    """The integral over a body of a density of the gradient of the vectors.

    Where several terms have equal elements, the stiffness of a cell follows from the sum of their tangents.

    Attributes:
        elements: the cells of the body.
        couples_points: whether the stress at a point depends on the gradients at others of its cell, so that
            the stiffness of a cell does not follow from tangents.
    """

    couples_points: ClassVar[bool] = False
    elements: FiniteElements

    @abstractmethod
    def density(self, gradient: Matrix3) -> Float[Tensor, "*cells_and_batch"]:
        """Return the density [J/m³ or W/m³]."""

    @abstractmethod
    def stress(self, gradient: Matrix3) -> Matrix3:
        """Return the derivative of the density by the gradient [Pa]."""

    @abstractmethod
    def tangents(
        self, gradient: Matrix3, *, projected: bool = False
    ) -> Float[Tensor, "*batch_and_points M 9 9"]:
        """Return the derivative of the stress by the gradient [Pa or Pa s], projected as `hessian_blocks`."""

    @property
    def connectivity(self) -> Int[Tensor, "M C"]:
        return self.elements.connectivity

    def energy(self, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        return self.elements.integrate(self.density(self.elements.deformation_gradient(vectors)))

    def gradient(self, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        return -self.elements.forces(self.stress(self.elements.deformation_gradient(vectors)))

    def energy_and_gradient(
        self, vectors: Float[Tensor, "*batch N 3"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch N 3"]]:
        gradient = self.elements.deformation_gradient(vectors)
        return self.elements.integrate(self.density(gradient)), -self.elements.forces(self.stress(gradient))

    def cell_tangents(
        self, vectors: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*batch_and_points M 9 9"]:
        """Return the tangents where the vectors are these."""
        return self.tangents(self.elements.deformation_gradient(vectors), projected=projected)

    def hessian_blocks(
        self, vectors: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*batch M D D"]:
        return self.elements.stiffness_blocks(self.cell_tangents(vectors, projected=projected))


def by_elements(terms: Sequence[Term]) -> list[list[Term]]:
    """Return the terms with connectivity; those of cells with equal elements are in one list."""
    found: dict[object, list[Term]] = {}
    for term in terms:
        if term.connectivity is not None:
            key: object = id(term)
            if isinstance(term, CellTerm) and not term.couples_points:
                key = term.elements.kind
            found.setdefault(key, []).append(term)
    return list(found.values())


def inherits(force: object, base: type, names: Sequence[str]) -> bool:
    """Return whether the class of a force takes these attributes from a base class as they are."""
    return all(getattr(type(force), name) is getattr(base, name) for name in names)
