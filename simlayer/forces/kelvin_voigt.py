"""Viscous forces of a meshed body."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.fem.finite_elements import FiniteElements
from simlayer.forces.base import RatePotential
from simlayer.forces.module_energy import ModuleEnergy
from simlayer.linalg.matrix3 import Matrix3
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.quantity import Quantity
from simlayer.state import State

# A generic deformation gradient and rate to trace with.
_EXAMPLE = [0.1 * k + 0.5 for k in range(18)]


class KelvinVoigt(RatePotential):
    """Viscosity beside the elasticity of a body, none for any rigid motion of it however deformed.

    The stress P = F (2 eta Ė + zeta tr(Ė) I), with E the Green strain. In a small vibration of frequency w
    and shear modulus mu it damps shear with the ratio eta w / (2 mu).

    Args:
        mesh: the body in its rest shape.
        shear_viscosity: eta [Pa s], positive: one value, or one per cell.
        bulk_viscosity: zeta [Pa s], as for eta. None: a millionth of eta, which is as good as zero, whose
            logarithm could not be stored.
        deterministic, quadrature: see `FiniteElements`.
    """

    shear_viscosity = Quantity("Pa s", over="cells", positive=True)
    bulk_viscosity = Quantity("Pa s", over="cells", positive=True)
    quadratic = True
    rest_bounds: Tensor

    def __init__(
        self,
        mesh: Mesh,
        *,
        shear_viscosity: float | Tensor,
        bulk_viscosity: float | Tensor | None = None,
        deterministic: bool | None = None,
        quadrature: Literal["full", "reduced"] = "full",
    ) -> None:
        super().__init__()
        self.elements = FiniteElements(mesh, deterministic=deterministic, quadrature=quadrature)
        self.shear_viscosity = shear_viscosity
        self.bulk_viscosity = (
            1e-6 * self.shear_viscosity.detach() if bulk_viscosity is None else bulk_viscosity
        )
        self.set_extents(cells=len(mesh.cells))
        self.traced_density = ModuleEnergy.of_kind(
            self,
            lambda *fields: self.dissipation_density(Matrix3(*fields[:9]), Matrix3(*fields[9:])),
            _EXAMPLE[9:],
            given=_EXAMPLE[:9],
            method="dissipation_density",
        )
        bounds = torch.stack(self.elements.rest_eigenvalue_bounds())
        self.register_buffer("rest_bounds", bounds, persistent=False)

    def dissipation_density(self, F: Matrix3, rate: Matrix3) -> Tensor:
        """Half the power lost per rest volume [W/m³], eta |Ė|² + zeta/2 (tr Ė)², with E the Green strain."""
        product = F.T @ rate
        strain_rate = (product + product.T) * 0.5
        shear, bulk = strain_rate.inner(strain_rate), strain_rate.trace() ** 2
        return self.shear_viscosity * shear + 0.5 * self.bulk_viscosity * bulk

    def energy(
        self, positions: Float[Tensor, "*batch N 3"], velocities: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch"]:
        return self.elements.integrate(self.traced_density.value(*self._arguments(positions, velocities)))

    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        stress = self.traced_density.gradient(*self._arguments(state.positions, state.velocities))
        return self.elements.forces(Matrix3(*stress))

    def damping_product(
        self,
        positions: Float[Tensor, "*batch N 3"],
        velocities: Float[Tensor, "*batch N 3"],
        direction: Float[Tensor, "*batch N 3"],
    ) -> Float[Tensor, "*batch N 3"]:
        # The potential is quadratic in the velocities.
        return -self(State(positions, direction))

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
        # Semi-definite as it is.
        return self.elements.stiffness_blocks(self._tangents(positions))

    def damping_bound(self, state: State | None) -> Float[Tensor, "*batch #M"]:
        if state is None:
            # |sym dF| <= |dF|
            pressure, shear = self.rest_bounds
            return self.bulk_viscosity * pressure + 2 * self.shear_viscosity * shear
        return self.elements.largest_eigenvalue(self._tangents(state.positions))

    def _tangents(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch_and_points M 9 9"]:
        return self.traced_density.hessian(
            *self._arguments(positions, positions), point_axes=self.elements.weights.ndim
        )

    def _arguments(self, positions: Tensor, velocities: Tensor) -> tuple[list[Tensor], Matrix3]:
        """Return what the density takes: coefficients with the deformation gradient, and its rate."""
        F, rate = (self.elements.deformation_gradient(vectors) for vectors in (positions, velocities))
        return [*self.traced_density.coefficients(self, positions.ndim - 2), *F], rate
