"""Elastic forces of a meshed body."""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.errors import ImplausibleWarning
from simlayer.fem.finite_elements import FiniteElements
from simlayer.fem.stress_divergence import stress_forces
from simlayer.forces.base import Potential
from simlayer.forces.cell_terms import CellTerm, inherits
from simlayer.forces.module_energy import ModuleEnergy
from simlayer.forces.terms import Term
from simlayer.linalg.matrix3 import Matrix3
from simlayer.linalg.semidefinite import semidefinite_part
from simlayer.materials.base import Material
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arrays import checked_integers
from simlayer.quantities.objects import checked_instance
from simlayer.state import State

# A generic deformation gradient to trace with: no symmetry, no zero, det F > 0.
_EXAMPLE = (1.1, 0.2, -0.1, 0.15, 0.9, 0.05, -0.05, 0.12, 1.2)

# A subclass that has one of these of its own is a term as every Potential is.
_TERM = (
    "energy", "forward", "gradient", "energy_and_gradient", "hessian_blocks", "connectivity",
    "feasible_fraction", "at_end", "sets_scale",
)  # fmt: skip


def traced_energy_density(material: Material) -> ModuleEnergy:
    """Return a material's energy density with its derivatives, as a function of the nine components of F."""
    return ModuleEnergy.of_kind(
        material, lambda *F: material.energy_density(Matrix3(*F)), _EXAMPLE, method="energy_density"
    )


class ElasticForce(Potential):
    """The elastic forces of a body made of one material.

    Args:
        mesh: the body in its stress-free rest shape.
        material: its quantities hold one value, one per cell, or one per region.
        regions: region index of each cell, `(M,)` from 0. With it, a quantity's last axis has one value per
            region. For regions from a file: `mesh.cell_regions`.
        deterministic: bitwise repeatable sums on several threads, see `Gather`.
        quadrature: "full" or "reduced", see `FiniteElements`.

    Raises:
        ValueError: if a quantity of the material has neither one value nor one per cell (or region).
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
        _check_material(material)
        self.elements = FiniteElements(mesh, deterministic=deterministic, quadrature=quadrature, local=True)
        self.material = material
        self.register_buffer("regions", _checked_regions(regions, mesh), persistent=False)
        count = len(mesh.cells) if self.regions is None else int(self.regions.max()) + 1
        material.set_extents(cells=count)
        _warn_of_samples(material, count)
        self.traced_density = traced_energy_density(material)
        bounds = torch.stack(self.elements.rest_eigenvalue_bounds())
        self.register_buffer("rest_bounds", bounds, persistent=False)

    @classmethod
    def by_region(cls, mesh: Mesh, material: Material) -> ElasticForce:
        """Return the force of a material with one value of each quantity per region of the mesh."""
        return cls(mesh, material, regions=mesh.cell_regions)

    def energy(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        F = self.elements.deformation_gradient(positions)
        return self.elements.integrate(self.traced_density.value(self.coefficients(positions), F))

    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        return stress_forces(
            self.traced_density, self.elements, self.coefficients(state.positions), state.positions
        )

    def term(self, start: Float[Tensor, "*batch N 3"], predicted: Float[Tensor, "*batch N 3"]) -> Term:
        return _ElasticTerm(self, predicted) if inherits(self, ElasticForce, _TERM) else self

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
        return _ElasticTerm(self, positions).hessian_blocks(positions, projected=projected)

    def stiffness_bound(self, state: State | None) -> Float[Tensor, "*batch #M"]:
        if state is None:
            constant, largest = self.material.stiffness_factors(self._rest_tangent)
            pressure, shear = self.rest_bounds
            return self._per_cell(constant) * pressure + self._per_cell(largest) * shear
        tangents = _ElasticTerm(self, state.positions).cell_tangents(state.positions)
        return self.elements.largest_eigenvalue(tangents)

    def _rest_tangent(self) -> Float[Tensor, "*batch own 9 9"]:
        """dP/dF at rest [Pa], for each of a quantity's own values."""
        identity = Matrix3(*torch.eye(3).to(self.elements.weights).reshape(9, 1))
        return self.traced_density.hessian(
            self.traced_density.coefficients(self.material), identity, point_axes=1
        )

    def coefficients(self, positions: Float[Tensor, "*batch N 3"]) -> list[Tensor]:
        """Return what the traced density reads of the material, for positions with so many axes."""
        return self.traced_density.coefficients(self.material, positions.ndim - 2, regions=self.regions)

    def _per_cell(self, value: Tensor | float) -> Tensor | float:
        if self.regions is None or isinstance(value, float) or value.ndim == 0 or value.shape[-1] == 1:
            return value
        return value[..., self.regions]


class _ElasticTerm(CellTerm):
    """The energy of an elastic force in one step, whose material does not change meanwhile."""

    sets_scale = True

    def __init__(self, force: ElasticForce, positions: Float[Tensor, "*batch N 3"]) -> None:
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
        axes = self.elements.weights.ndim
        tangents = self.force.traced_density.hessian(self._coefficients, gradient, point_axes=axes)
        return semidefinite_part(tangents) if projected else tangents


def _check_material(material: Material) -> None:
    """Raise TypeError if this is no material, or ValueError if it has nothing to identify or compute with."""
    checked_instance("material", material, Material, example="StableNeoHookean(1e5, 0.45)")
    for quantity in material.quantities().values():
        quantity.stored(material)
    if not list(material.parameters()):
        kind = type(material).__name__
        raise ValueError(
            f"{kind} has no quantities: declare its constants, as in "
            "stiffness = Quantity('Pa', over='cells', positive=True), and assign them in its constructor."
        )


def _warn_of_samples(material: Material, count: int) -> None:
    """Warn if a quantity has one value for each of as many samples as there are cells or regions."""
    for name, quantity in material.quantities().items():
        shape = tuple(quantity.stored(material).shape)
        if quantity.over == "cells" and count > 1 and shape == (count, 1):
            warnings.warn(
                f"{name} of the material has shape {shape}, one value for each of {count} samples. One for "
                f"each cell or region has shape ({count},).",
                ImplausibleWarning,
                stacklevel=3,
            )


def _checked_regions(regions: Tensor | None, mesh: Mesh) -> Tensor | None:
    if regions is None:
        return None
    found = checked_integers("regions", regions)
    # Tags of a file are no indices: most regions would be of no cell.
    most = max(len(mesh.cells), len(mesh.region_names)) - 1
    if found.shape != (len(mesh.cells),) or int(found.min()) < 0 or int(found.max()) > most:
        ends = f" from {int(found.min())} to {int(found.max())}" if found.numel() else ""
        raise ValueError(
            f"regions must hold one index from 0 to {most} for each of the {len(mesh.cells)} cells, "
            f"got shape {tuple(found.shape)}{ends}."
        )
    return found
