"""Muscles: active stress along fibres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.actuators.force_length import ForceLength
from simlayer.fem.fields import over_batch
from simlayer.fem.finite_elements import FiniteElements
from simlayer.forces.cell_potential import CellPotential
from simlayer.forces.module_energy import ModuleEnergy
from simlayer.linalg.matrix3 import Matrix3, dot
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.selection import cell_indices
from simlayer.quantities.arrays import checked_directions, checked_numbers, described
from simlayer.quantities.objects import checked_instance
from simlayer.quantities.quantity import Quantity

# A generic deformation gradient and fibre to trace with.
_EXAMPLE = (1.1, 0.2, -0.1, 0.15, 0.9, 0.05, -0.05, 0.12, 1.2)
_FIBRE = (0.6, 0.48, 0.64)


class Muscle(CellPotential):
    """Fibres in a part of a body that pull when they are activated, beside the elasticity of the tissue.

    Their tension per area at rest is alpha sigma f(lambda), with the stretch lambda = |F a| of fibres that
    lie along a at rest (Blemker, Pinsky, Delp 2005, without the passive part): that of the energy density
    alpha sigma ∫ f dlambda. It does not resist shortening as tissue does, so it needs an elastic force beside
    it. Several muscles are several forces, each with its name. dt="auto" is for full activation.

        biceps = Muscle(mesh, (0, 0, 1), peak_stress=3e5, cells="biceps")
        rollout(state, controls={"forces.biceps.activation": activation})           # (T, B, 1), from 0 to 1

    Args:
        mesh: the body in its rest shape.
        fibres: the direction a of the fibres at rest, of any length: one for all, `(3,)`, or one per cell of
            the mesh, `(M, 3)`.
        peak_stress: sigma [Pa], positive, about 3e5 for skeletal muscle: one value, or one per cell of the
            muscle, in the order of the mesh.
        activation: alpha from 0, relaxed, to 1: as for the stress.
        cells: the muscle's cells: a region by its name, or several, cell indices or a mask `(M,)`. All by
            default.
        force_length: the curve f; None: the same tension at every length.
        deterministic, quadrature: see `FiniteElements`.

    Raises:
        ValueError: if there are no such cells, a fibre has no direction, or a quantity does not fit.
    """

    activation = Quantity("1", over="cells", bounds=(0.0, 1.0), closed=True)
    peak_stress = Quantity("Pa", over="cells", positive=True)
    fibres: Tensor
    rest_bounds: Tensor

    def __init__(
        self,
        mesh: Mesh,
        fibres: Sequence[float] | Float[Tensor, "*cells 3"],
        *,
        peak_stress: float | Tensor,
        activation: float | Tensor = 0.0,
        cells: Tensor | str | Sequence[str] | None = None,
        force_length: ForceLength | None = None,
        deterministic: bool | None = None,
        quadrature: Literal["full", "reduced"] = "full",
    ) -> None:
        super().__init__()
        self.elements = FiniteElements(
            mesh,
            deterministic=deterministic,
            quadrature=quadrature,
            local=True,
            cells=None if cells is None else cell_indices(mesh, cells, name="cells"),
        )
        self.activation, self.peak_stress = activation, peak_stress
        self.set_extents(cells=self.elements.num_cells)
        if force_length is not None:
            checked_instance("force_length", force_length, ForceLength)
            force_length.set_extents(cells=self.elements.num_cells)
        self.force_length, self.convex = force_length, force_length is None
        self.register_buffer("fibres", _unit_fibres(fibres, self.elements), persistent=False)
        self.traced_density = ModuleEnergy.of_kind(
            self,
            lambda *fields: self.energy_density(fields[:3], Matrix3(*fields[3:])),
            _EXAMPLE,
            given=_FIBRE,
            method="energy_density",
        )
        bounds = torch.stack(self.elements.rest_eigenvalue_bounds())
        self.register_buffer("rest_bounds", bounds, persistent=False)

    def energy_density(self, fibre: tuple[Tensor, ...], F: Matrix3) -> Tensor:
        """Return the energy per rest volume [J/m³] of a unit vector along the fibres and F."""
        along = tuple(dot(F.row(i), fibre) for i in range(3))
        stretch = dot(along, along).sqrt()
        work = stretch - 1 if self.force_length is None else self.force_length.work(stretch)
        return self.activation * self.peak_stress * work

    def coefficients(self, positions: Float[Tensor, "*batch N 3"]) -> list[Tensor]:
        batch_axes = positions.ndim - 2
        values = self.traced_density.coefficients(self, batch_axes)
        return [*values, *over_batch(self.fibres, 2, batch_axes)]

    def stretches(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch K"]:
        """Return the stretch of the fibres, the mean in each cell of the muscle."""
        F, a = self.elements.deformation_gradient(positions), over_batch(self.fibres, 2, positions.ndim - 2)
        along = torch.stack([dot(F.row(i), tuple(a)) for i in range(3)])
        found, weights = along.square().sum(0).sqrt(), self.elements.weights
        if self.elements.has_points:
            found = (over_batch(weights / weights.sum(0), 2, positions.ndim - 2) * found).sum(0)
        return found.movedim(0, -1)

    def rest_stiffness_bound(self) -> Float[Tensor, "*batch #K"]:
        # Fully activated: the derivative of f along the fibres, and f across them, where stretches are one.
        steepest = 1.0 if self.force_length is None else self.force_length.largest_slope.clamp(min=1)
        _, shear = self.elements.current_bounds(self.rest_bounds)
        return self.peak_stress * steepest * shear


def _unit_fibres(fibres: Sequence[float] | Tensor, elements: FiniteElements) -> Float[Tensor, "3 #K"]:
    """Return unit vectors along the fibres, components first; raises ValueError where there is none."""
    count, given = len(elements.mesh.cells), checked_numbers("fibres", fibres)
    if given.shape not in ((3,), (count, 3)):
        raise ValueError(
            f"fibres must be one direction (3,) or one per cell ({count}, 3), got {described(fibres)}."
        )
    chosen = given if given.ndim == 1 or elements.cells is None else given[elements.cells]
    return checked_directions("fibres", chosen).T.contiguous().to(elements.weights)
