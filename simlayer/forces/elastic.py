"""Elastic forces of a meshed body."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.errors import ImplausibleWarning
from simlayer.fem.finite_elements import FiniteElements
from simlayer.forces.cell_potential import CellPotential
from simlayer.forces.module_energy import ModuleEnergy
from simlayer.linalg.matrix3 import Matrix3
from simlayer.materials.base import Material
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arrays import checked_integers
from simlayer.quantities.objects import checked_instance
from simlayer.quantities.physical_module import PhysicalModule

# A generic deformation gradient to trace with: no symmetry, no zero, det F > 0.
EXAMPLE = (1.1, 0.2, -0.1, 0.15, 0.9, 0.05, -0.05, 0.12, 1.2)


def traced_energy_density(material: Material) -> ModuleEnergy:
    """Return a material's energy density with its derivatives, as a function of the nine components of F."""
    return ModuleEnergy.of_kind(
        material, lambda *F: material.energy_density(Matrix3(*F)), EXAMPLE, method="energy_density"
    )


class ElasticForce(CellPotential):
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
        check_material(material)
        self.elements = FiniteElements(mesh, deterministic=deterministic, quadrature=quadrature, local=True)
        self.material = material
        self.register_buffer("regions", _checked_regions(regions, mesh), persistent=False)
        count = len(mesh.cells) if self.regions is None else int(self.regions.max()) + 1
        material.set_extents(cells=count)
        _warn_of_samples(material, count)
        _warn_of_another_force(material, type(self))
        self.traced_density = traced_energy_density(material)
        bounds = torch.stack(self.elements.rest_eigenvalue_bounds())
        self.register_buffer("rest_bounds", bounds, persistent=False)

    @classmethod
    def by_region(cls, mesh: Mesh, material: Material, **options: Any) -> ElasticForce:
        """Return the force of a material with one value of each quantity per region of the mesh.

        Other options are as for the class, which may need some.
        """
        return cls(mesh, material, regions=mesh.cell_regions, **options)

    def coefficients(self, positions: Float[Tensor, "*batch N 3"]) -> list[Tensor]:
        return self.traced_density.coefficients(self.material, positions.ndim - 2, regions=self.regions)

    @property
    def elastic_density(self) -> ModuleEnergy:
        """The energy density of the material alone."""
        return self.traced_density

    def rest_stiffness_bound(self) -> Float[Tensor, "*batch #M"]:
        constant, largest = self.material.stiffness_factors(self._rest_tangent)
        pressure, shear = self.elements.current_bounds(self.rest_bounds)
        return self._per_cell(constant) * pressure + self._per_cell(largest) * shear

    def _rest_tangent(self) -> Float[Tensor, "*batch own 9 9"]:
        """dP/dF at rest [Pa], for each of a quantity's own values."""
        identity = Matrix3(*torch.eye(3).to(self.elements.weights).reshape(9, 1))
        return self.elastic_density.hessian(
            self.elastic_density.coefficients(self.material), identity, point_axes=1
        )

    def _per_cell(self, value: Tensor | float) -> Tensor | float:
        if self.regions is None or isinstance(value, float) or value.ndim == 0 or value.shape[-1] == 1:
            return value
        return value[..., self.regions]


def check_material(material: Material) -> None:
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
    modules = [module for module in material.modules() if isinstance(module, PhysicalModule)]
    for module, quantity in ((m, quantity) for m in modules for quantity in m.quantities().values()):
        shape = tuple(quantity.stored(module).shape)
        if quantity.over == "cells" and count > 1 and shape == (count, 1):
            warnings.warn(
                f"{quantity.name} of the material has shape {shape}, one value for each of {count} "
                f"samples. One for each cell or region has shape ({count},).",
                ImplausibleWarning,
                stacklevel=3,
            )


def _warn_of_another_force(material: Material, force: type) -> None:
    """Warn if a force reads the energy density alone of a material that does more."""
    if material.own_force not in (None, *(base.__name__ for base in force.__mro__)):
        warnings.warn(
            f"{type(material).__name__} is elastic in an {force.__name__}, whatever its other quantities "
            f"are: take {material.own_force}(mesh, material), or an elastic material.",
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
