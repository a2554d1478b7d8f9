"""Elastic forces of a meshed body."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.autodiff.pointwise import PointwiseEnergy
from simlayer.fem.fields import cells_first
from simlayer.fem.finite_elements import FiniteElements
from simlayer.fem.stress_divergence import stress_forces
from simlayer.forces.base import Potential
from simlayer.linalg.matrix3 import Matrix3
from simlayer.materials import Material
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.binding import bound, inputs_of
from simlayer.quantities.named import NamedTensors
from simlayer.state import State

# A generic deformation gradient to trace with: no symmetry, no zero, det F > 0.
_EXAMPLE = (1.1, 0.2, -0.1, 0.15, 0.9, 0.05, -0.05, 0.12, 1.2)


class ElasticForce(Potential):
    """The elastic forces of a body made of one material law.

    Args:
        mesh: the body in its stress-free rest shape.
        material: the law; its quantities hold one value, one a cell, or one a region.
        regions: region index of each cell, `(M,)` from 0. With it, a quantity's last axis has one value a
            region. For regions from a file: `mesh.cell_regions`.
        deterministic: bitwise repeatable sums on several threads, see `Gather`.
        quadrature: "full" or "reduced", see `FiniteElements`.

    Raises:
        ValueError: if a quantity of the material has neither one value nor one a cell (or region).
    """

    regions: Tensor | None
    rest_bounds: Tensor

    def __init__(
        self,
        mesh: Mesh,
        material: Material,
        *,
        regions: Int[Tensor, "M"] | None = None,
        deterministic: bool | None = None,
        quadrature: Literal["full", "reduced"] = "full",
    ) -> None:
        super().__init__()
        self.elements = FiniteElements(mesh, deterministic=deterministic, quadrature=quadrature)
        self.material = material
        self.register_buffer("regions", _checked_regions(regions, mesh), persistent=False)
        material.set_extents(cells=len(mesh.cells) if regions is None else int(regions.max()) + 1)
        self.law, self._coefficients = _trace_law(material)
        self.register_buffer(
            "rest_bounds", torch.stack(self.elements.rest_eigenvalue_bounds()), persistent=False
        )

    @classmethod
    def by_region(cls, mesh: Mesh, material: Material) -> ElasticForce:
        """With one value of each quantity for every region of the mesh."""
        return cls(mesh, material, regions=mesh.cell_regions)

    def energy(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        F = self.elements.deformation_gradient(positions)
        return self.elements.integrate(self.law.value(self._material_values(F), F))

    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        values = self._coefficients_over(state.positions.ndim - 2, self.regions)
        return stress_forces(self.law, self.elements, values, state.positions)

    def hessian_product(
        self, positions: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch N 3"]:
        F = self.elements.deformation_gradient(positions)
        dF = self.elements.deformation_gradient(direction)
        stress = Matrix3(*self.law.hessian_product(self._material_values(F), F, dF))
        return -self.elements.forces(stress)

    @property
    def couplings(self) -> Int[Tensor, "M C"]:
        return self.elements.connectivity

    def hessian_blocks(
        self, positions: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*batch M D D"]:
        tangent = self._tangents(positions)
        if projected:
            values, vectors = torch.linalg.eigh(tangent)
            tangent = (vectors * values.clamp(min=0)[..., None, :]) @ vectors.mT
        return self.elements.stiffness_blocks(tangent)

    def stiffness_bound(self, state: State | None) -> Float[Tensor, "*batch #M"]:
        if state is None:
            constant, largest = self.material.stiffness_factors(self._rest_tangent)
            pressure, shear = self.rest_bounds
            return self._per_cell(constant) * pressure + self._per_cell(largest) * shear
        return self.elements.largest_eigenvalue(self._tangents(state.positions))

    def _tangents(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch_and_points M 9 9"]:
        F = self.elements.deformation_gradient(positions)
        return self.law.hessian(self._material_values(F), F, point_axes=self.elements.weights.ndim)

    def _rest_tangent(self) -> Float[Tensor, "*batch own 9 9"]:
        fields = (getattr(self.material, name) for name in self._coefficients[self.law.shared :])
        batch_axes = max((field.ndim - 1 for field in fields), default=0)
        one = self.elements.weights.new_ones((1, *[1] * max(batch_axes, 0)))
        zero = torch.zeros_like(one)
        values = self._coefficients_over(max(batch_axes, 0), None)
        rest = Matrix3(one, zero, zero, zero, one, zero, zero, zero, one)
        return self.law.hessian(values, rest, point_axes=1)

    def _per_cell(self, value: Tensor | float) -> Tensor | float:
        if self.regions is None or isinstance(value, float) or value.ndim == 0 or value.shape[-1] == 1:
            return value
        return value[..., self.regions]

    def _material_values(self, F: Matrix3) -> list[Tensor]:
        """What the law reads, each `(M or 1, *batch or 1)`."""
        return self._coefficients_over(F.xx.ndim - self.elements.weights.ndim, self.regions)

    def _coefficients_over(self, batch_axes: int, regions: Tensor | None) -> list[Tensor]:
        shared = self._coefficients[: self.law.shared]
        weights = dict(self.material.named_parameters(remove_duplicate=False)) if shared else {}
        fields = (getattr(self.material, name) for name in self._coefficients[len(shared) :])
        return [weights[name] for name in shared] + [
            cells_first(field, batch_axes, regions=regions) for field in fields
        ]


def _trace_law(material: Material) -> tuple[PointwiseEnergy, tuple[str, ...]]:
    """The material's traced energy, and the names of what it reads: weights, quantities, derived values."""
    weights = NamedTensors(material).weights
    inputs = inputs_of(material)
    names = tuple(inputs)
    examples = [value if name in weights else value.flatten()[0] for name, value in inputs.items()]
    point = [torch.as_tensor(x, dtype=examples[0].dtype) for x in _EXAMPLE]

    def energy(values: tuple[Tensor, ...], components: tuple[Tensor, ...]) -> Tensor:
        with bound(material, dict(zip(names, values, strict=True))):
            return material.energy_density(Matrix3(*components))

    law = PointwiseEnergy(energy, examples, point, shared=len(weights))
    return law, tuple(names[k] for k in law.used)


def _checked_regions(regions: Tensor | None, mesh: Mesh) -> Tensor | None:
    if regions is None:
        return None
    if regions.shape != (len(mesh.cells),) or regions.is_floating_point() or int(regions.min()) < 0:
        raise ValueError(
            f"regions must hold one index from 0 for each of the {len(mesh.cells)} cells, "
            f"got {tuple(regions.shape)} {regions.dtype} with minimum {regions.min().item()}."
        )
    return regions.clone()
