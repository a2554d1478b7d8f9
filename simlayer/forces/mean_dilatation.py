"""Elastic forces of a body whose cells change their volume as a whole, so that they do not lock."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.fem.fields import batch_first, over_batch
from simlayer.forces.cell_potential import DensityTerm
from simlayer.forces.cell_terms import CellTerm
from simlayer.forces.elastic import ElasticForce
from simlayer.forces.terms import Term
from simlayer.linalg.matrix3 import Matrix3
from simlayer.linalg.semidefinite import semidefinite_part
from simlayer.materials.base import Material
from simlayer.mesh.mesh import Mesh
from simlayer.state import State


class MeanDilatationForce(ElasticForce):
    """The elastic forces of a nearly incompressible body, whose cells do not lock.

    A cell that keeps the volume at each of its quadrature points can hardly bend. Here every point has the
    mean change of volume J of its cell (mean dilatation; Nagtegaal, Parks, Rice 1974, and in large strains
    Simo, Taylor, Pister 1985): the energy is that of (mean J / J)^(1/3) F in place of F. For hex8, and for
    quadratic elements; a tet4 has one point, and locks whatever is done inside of it. The pressure is one
    number per cell, and cells must not be inside out at any point. Stretched by a third and more, a few hex8
    across a body may lose their stability, which tet10 keep.

    Args:
        mesh, material, regions, deterministic, quadrature: as for `ElasticForce`.

    Raises:
        ValueError: if cells have one quadrature point, or as for `ElasticForce`.
    """

    def __init__(
        self,
        mesh: Mesh,
        material: Material,
        *,
        regions: Int[Tensor, "M"] | None = None,
        deterministic: bool | None = None,
        quadrature: Literal["full", "reduced"] = "full",
    ) -> None:
        super().__init__(mesh, material, regions=regions, deterministic=deterministic, quadrature=quadrature)
        if not self.elements.has_points:
            raise ValueError(
                f"a mean dilatation needs cells with several quadrature points, got {mesh.element}: use "
                "to_quadratic_elements(mesh), or hexahedra."
            )

    def energy(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        return _MeanDilatationTerm(self, positions).energy(positions)

    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        return -_MeanDilatationTerm(self, state.positions).gradient(state.positions)

    def term(self, start: Float[Tensor, "*batch N 3"], predicted: Float[Tensor, "*batch N 3"]) -> Term:
        return _MeanDilatationTerm(self, predicted)

    def hessian_product(
        self, positions: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch N 3"]:
        return _MeanDilatationTerm(self, positions).hessian_product(positions, direction)

    def hessian_blocks(
        self, positions: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*batch M D D"]:
        return _MeanDilatationTerm(self, positions).hessian_blocks(positions, projected=projected)

    def _largest_eigenvalue(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch K"]:
        return self.elements.largest_block_eigenvalue(self.hessian_blocks(positions))


class _Point(NamedTuple):
    """What the stress at the points of cells follows from.

    Attributes:
        F, J, cofactor: the deformation gradient, its determinant and the derivative of that.
        mean: of J over a cell.
        scale: (mean / J)^(1/3).
        F_bar, stress: the deformation gradient with the mean J, and the stress P of the material there [Pa].
        pressure: the mean of the diagonal of the Kirchhoff stress there [Pa].
        mean_pressure: its mean over a cell, over the mean J [Pa].
    """

    F: Matrix3
    J: Tensor
    cofactor: Matrix3
    mean: Tensor
    scale: Tensor
    F_bar: Matrix3
    stress: Matrix3
    pressure: Tensor
    mean_pressure: Tensor

    @property
    def excess(self) -> Tensor:
        """What the stress of a cell's volume has above that of its points [Pa]."""
        return self.mean_pressure - self.pressure / self.J


class _MeanDilatationTerm(DensityTerm):
    """The energy of such a force in one step."""

    couples_points = True

    def density(self, gradient: Matrix3) -> Float[Tensor, "*cells_and_batch"]:
        return super().density(gradient * self._scale(gradient.det())[1])

    def stress(self, gradient: Matrix3) -> Matrix3:
        at = self._point(gradient)
        return at.stress * at.scale + at.cofactor * at.excess

    def gradient(self, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        return CellTerm.gradient(self, vectors)

    def hessian_product(
        self, vectors: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch N 3"]:
        at = self._point(self.elements.deformation_gradient(vectors))
        dF = self.elements.deformation_gradient(direction)
        dJ = at.cofactor.inner(dF)
        d_mean = self._mean(dJ)
        d_log = (d_mean / at.mean - dJ / at.J) / 3
        dF_bar = (dF + at.F * d_log) * at.scale
        d_stress = Matrix3(*self.force.traced_density.hessian_product(self._coefficients, at.F_bar, dF_bar))
        d_pressure = (d_stress.inner(at.F_bar) + at.stress.inner(dF_bar)) / 3
        d_mean_pressure = (self._mean(d_pressure) - at.mean_pressure * d_mean) / at.mean
        d_cofactor = (at.F + dF).cofactor() - at.cofactor - dF.cofactor()
        d_excess = d_mean_pressure - d_pressure / at.J + at.pressure * dJ / at.J**2
        total = (d_stress + at.stress * d_log) * at.scale + d_cofactor * at.excess + at.cofactor * d_excess
        return -self.elements.forces(total)

    def hessian_blocks(
        self, vectors: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*batch M D D"]:
        # With B the derivative of F by the nodes, a that of J, m that of its mean and l that of
        # ln(mean / J)/3, the second derivative is the sum over the points of
        # B'(s² A + e dcof)B + g l' + l g' + k l l' + p (a a'/J² - m m'/mean²).
        at = self._point(self.elements.deformation_gradient(vectors))
        tangent = self.force.traced_density.hessian(self._coefficients, at.F_bar, point_axes=2)
        F, stress, cofactor = map(_points_first, (at.F, at.stress, at.cofactor))
        J, mean, scale, pressure, mean_pressure, excess = (
            batch_first(field, 2)[..., None]
            for field in (at.J, at.mean, at.scale, at.pressure, at.mean_pressure, at.excess)
        )
        along = torch.einsum("...ij,...j->...i", tangent, F)
        pointwise = scale[..., None] ** 2 * tangent + excess[..., None] * _cofactor_tangent(F)
        blocks = self.elements.stiffness_blocks(pointwise)
        a, g = self._by_nodes(cofactor), self._by_nodes(scale**2 * along + scale * stress)
        k = scale**2 * (F * along).sum(-1, keepdim=True) + 3 * pressure
        weights = batch_first(self.elements.weights, 2)[..., None]
        m = (weights * a).sum(-3, keepdim=True) / weights.sum(-3, keepdim=True)
        log = (m / mean - a / J) / 3
        # (g + k l/2) l' and its transpose are the three terms with l.
        half = torch.einsum("...qma,...qmb->...mab", weights * (g + 0.5 * k * log), log)
        own = torch.einsum("...qma,...qmb->...mab", weights * pressure / J**2 * a, a)
        volume = (weights * mean_pressure / mean).sum(-3)[..., None]
        common = volume * m[..., 0, :, :, None] * m[..., 0, :, None, :]
        total = blocks + half + half.mT + own - common
        return semidefinite_part(total) if projected else total

    def _point(self, F: Matrix3) -> _Point:
        J = F.det()
        mean, scale = self._scale(J)
        F_bar = F * scale
        stress = Matrix3(*self.force.traced_density.gradient(self._coefficients, F_bar))
        pressure = stress.inner(F_bar) / 3
        return _Point(F, J, F.cofactor(), mean, scale, F_bar, stress, pressure, self._mean(pressure) / mean)

    def _scale(self, J: Tensor) -> tuple[Tensor, Tensor]:
        mean = self._mean(J)
        return mean, (mean / J) ** (1 / 3)

    def _mean(self, field: Float[Tensor, "Q M *batch"]) -> Float[Tensor, "1 M *batch"]:
        """Return the mean over each cell at rest."""
        weights = over_batch(self.elements.weights, 2, field.ndim - 2)
        return (weights * field).sum(0, keepdim=True) / weights.sum(0, keepdim=True)

    def _by_nodes(self, matrices: Float[Tensor, "*batch Q M 9"]) -> Float[Tensor, "*batch Q M D"]:
        """Return the inner products with the derivatives of F by the nodes of the cell."""
        gradients = self.elements.shape_gradients()
        return torch.einsum("...ij,...cj->...ci", matrices.unflatten(-1, (3, 3)), gradients).flatten(-2)


def _points_first(field: Matrix3) -> Float[Tensor, "*batch Q M 9"]:
    """Return a field of matrices as one tensor, its batch first."""
    return torch.stack([batch_first(part, 2) for part in torch.broadcast_tensors(*field)], -1)


def _cofactor_tangent(F: Float[Tensor, "*points 9"]) -> Float[Tensor, "*points 9 9"]:
    """Return the derivative of the cofactors of a matrix by its entries, eps_ikm eps_jln F_mn."""
    permutation = _permutation().to(F)
    entries = torch.einsum("ikm,jln,...mn->...ijkl", permutation, permutation, F.unflatten(-1, (3, 3)))
    return entries.flatten(-2).flatten(-3, -2)


def _permutation() -> Float[Tensor, "3 3 3"]:
    """Return the permutation symbol."""
    symbol = torch.zeros(3, 3, 3)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        symbol[i, j, k], symbol[i, k, j] = 1.0, -1.0
    return symbol
