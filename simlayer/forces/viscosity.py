"""Viscous forces of a meshed body that resist the rate of its strain."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.fem.finite_elements import FiniteElements
from simlayer.forces.base import RatePotential
from simlayer.forces.cell_terms import CellTerm, inherits
from simlayer.forces.module_energy import ModuleEnergy
from simlayer.forces.terms import Term
from simlayer.linalg.matrix3 import Matrix3
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.quantity import Quantity
from simlayer.state import State

# A generic deformation gradient and rate to trace with.
_EXAMPLE = [0.1 * k + 0.5 for k in range(18)]

# A subclass that has one of these of its own is a term as every RatePotential is.
_TERM = ("energy", "forward", "damping_product", "hessian_blocks", "connectivity", "at_end")


class Viscosity(RatePotential):
    """The integral over cells of a convex density of the rate of strain, with viscosities at small rates.

    A subclass supplies `rate_density`, eta |Ė|² + zeta/2 (tr Ė)² at small rates, and calls `trace` at the end
    of its constructor.

    Args:
        mesh: the body in its rest shape.
        shear_viscosity: eta [Pa s], positive: one value, or one per cell.
        bulk_viscosity: zeta [Pa s], as for eta. None: a millionth of eta, which is as good as zero, whose
            logarithm could not be stored.
        deterministic, quadrature: see `FiniteElements`.
    """

    shear_viscosity = Quantity("Pa s", over="cells", positive=True)
    bulk_viscosity = Quantity("Pa s", over="cells", positive=True)
    rest_bounds: Tensor
    traced_density: ModuleEnergy

    def __init__(
        self,
        mesh: Mesh,
        shear_viscosity: float | Tensor,
        bulk_viscosity: float | Tensor | None,
        *,
        deterministic: bool | None,
        quadrature: Literal["full", "reduced"],
    ) -> None:
        super().__init__()
        self.elements = FiniteElements(mesh, deterministic=deterministic, quadrature=quadrature)
        self.shear_viscosity = shear_viscosity
        self.bulk_viscosity = (
            1e-6 * self.shear_viscosity.detach() if bulk_viscosity is None else bulk_viscosity
        )
        bounds = torch.stack(self.elements.rest_eigenvalue_bounds())
        self.register_buffer("rest_bounds", bounds, persistent=False)

    def trace(self) -> None:
        """Trace the density, and check the quantities that it reads."""
        self.set_extents(cells=self.elements.num_cells)
        self.traced_density = ModuleEnergy.of_kind(
            self,
            lambda *fields: self.dissipation_density(Matrix3(*fields[:9]), Matrix3(*fields[9:])),
            _EXAMPLE[9:],
            given=_EXAMPLE[:9],
            method="dissipation_density",
        )

    def dissipation_density(self, F: Matrix3, rate: Matrix3) -> Tensor:
        """Return the potential per rest volume [W/m³] of F and its rate, by that of the Green strain E."""
        product = F.T @ rate
        return self.rate_density((product + product.T) * 0.5)

    @abstractmethod
    def rate_density(self, strain_rate: Matrix3) -> Tensor:
        """Return the potential per rest volume [W/m³], convex in the rate Ė [1/s] and zero without it."""

    def energy(
        self, positions: Float[Tensor, "*batch N 3"], velocities: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch"]:
        return _ViscousTerm(self, positions).energy(velocities)

    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        return -_ViscousTerm(self, state.positions).gradient(state.velocities)

    def term(self, start: Float[Tensor, "*batch N 3"], predicted: Float[Tensor, "*batch N 3"]) -> Term:
        own = inherits(self, Viscosity, _TERM)
        return _ViscousTerm(self, predicted) if own else super().term(start, predicted)

    def damping_product(
        self,
        positions: Float[Tensor, "*batch N 3"],
        velocities: Float[Tensor, "*batch N 3"],
        direction: Float[Tensor, "*batch N 3"],
    ) -> Float[Tensor, "*batch N 3"]:
        return _ViscousTerm(self, positions).hessian_product(velocities, direction)

    @property
    def connectivity(self) -> Int[Tensor, "M C"]:
        return self.elements.connectivity

    def hessian_blocks(
        self,
        positions: Float[Tensor, "*batch N 3"],
        velocities: Float[Tensor, "*batch N 3"],
        *,
        projected: bool = False,
    ) -> Float[Tensor, "*batch M D D"]:
        return _ViscousTerm(self, positions).hessian_blocks(velocities)

    def damping_bound(self, state: State | None) -> Float[Tensor, "*batch #M"]:
        if state is None:
            # |sym dF| <= |dF|
            pressure, shear = self.elements.current_bounds(self.rest_bounds)
            return self.bulk_viscosity * pressure + 2 * self.shear_viscosity * shear
        tangents = _ViscousTerm(self, state.positions).cell_tangents(state.velocities)
        return self.elements.largest_eigenvalue(tangents)


class _ViscousTerm(CellTerm):
    """The potential of a viscosity where the body is in one step, a function of the velocities."""

    of_velocities = True

    def __init__(self, force: Viscosity, positions: Float[Tensor, "*batch N 3"]) -> None:
        self.force, self.elements, self.positions = force, force.elements, positions

    @cached_property
    def _given(self) -> list[Tensor]:
        F = self.elements.deformation_gradient(self.positions)
        return [*self.force.traced_density.coefficients(self.force, self.positions.ndim - 2), *F]

    def density(self, gradient: Matrix3) -> Float[Tensor, "*cells_and_batch"]:
        return self.force.traced_density.value(self._given, gradient)

    def stress(self, gradient: Matrix3) -> Matrix3:
        return Matrix3(*self.force.traced_density.gradient(self._given, gradient))

    def hessian_product(
        self, vectors: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch N 3"]:
        if self.force.quadratic:
            return self.gradient(direction)
        rate, change = map(self.elements.deformation_gradient, (vectors, direction))
        stress = self.force.traced_density.hessian_product(self._given, rate, change)
        return -self.elements.forces(Matrix3(*stress))

    def tangents(
        self, gradient: Matrix3, *, projected: bool = False
    ) -> Float[Tensor, "*batch_and_points M 9 9"]:
        # Semi-definite as they are.
        return self._constant_tangents if self.force.quadratic else self._tangents(gradient)

    @cached_property
    def _constant_tangents(self) -> Float[Tensor, "*batch_and_points M 9 9"]:
        """The tangents of a quadratic density, the same at all velocities."""
        return self._tangents(Matrix3(*self._given[-9:]))

    def _tangents(self, gradient: Matrix3) -> Float[Tensor, "*batch_and_points M 9 9"]:
        axes = 1 + self.elements.has_points
        return self.force.traced_density.hessian(self._given, gradient, point_axes=axes)
