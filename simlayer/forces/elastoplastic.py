"""Forces of a body that yields and stays deformed."""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.autodiff.pointwise import PointwiseEnergy
from simlayer.fem.fields import cells_first
from simlayer.forces.elastic import EXAMPLE
from simlayer.forces.inelastic import InelasticForce
from simlayer.forces.internal_variables import from_fields
from simlayer.forces.module_energy import ModuleEnergy
from simlayer.linalg.log_strain import squared_log_strain
from simlayer.linalg.matrix3 import Matrix3
from simlayer.materials.elastoplastic import J2Plasticity
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.objects import checked_instance

# To trace with: the inverse plastic Cauchy-Green tensor less the identity, and a plastic strain.
_PAST = (0.1, -0.05, 0.02, 0.03, -0.02, 0.04, 0.01)


class ElastoplasticForce(InelasticForce):
    """The forces of a body of a metal, which yields where its stress gets too large, and stays deformed.

    The flow of a step is that of its end, solved for in closed form (the radial return of Simo 1992 in
    logarithmic strains), and exact where strains keep their directions. Equilibria and implicit steps
    minimize the energy with the flow of the step in it; they follow a load in steps, forth and back. The
    state's history keeps the plastic deformation, so that a rollout goes on where another has ended. Until a
    rollout starts, the body has never yielded.

    Its energy includes what the flow of a step has cost, so `readouts.energies` have none, and its work is
    that of a force.

    Args:
        mesh: the body in its stress-free rest shape.
        material: a `J2Plasticity`.
        regions, deterministic, quadrature: as for `ElasticForce`.

    Raises:
        TypeError, ValueError: if the material is another one, or as for `ElasticForce`.
    """

    rate_dependent = False
    material: J2Plasticity

    def __init__(
        self,
        mesh: Mesh,
        material: J2Plasticity,
        *,
        regions: Int[Tensor, "M"] | None = None,
        deterministic: bool | None = None,
        quadrature: Literal["full", "reduced"] = "full",
    ) -> None:
        checked_instance("material", material, J2Plasticity, example="J2Plasticity(2e11, 0.3, 2.5e8, 1e9)")
        super().__init__(mesh, material, regions=regions, deterministic=deterministic, quadrature=quadrature)
        # Six components and a plastic strain, filled up to a multiple of three.
        self.remember(_traced_step(material), rows=3)
        _traced_strain()  # now, and not inside of a step

    def coefficients(self, positions: Float[Tensor, "*batch N 3"]) -> list[Tensor]:
        axes = positions.ndim - 2
        return [
            *self.traced_density.coefficients(self.material, axes, regions=self.regions),
            *self.remembered(axes)[:7],
        ]

    def updated(self, positions: Float[Tensor, "*batch N 3"], dt: float) -> Float[Tensor, "*batch K 3"]:
        axes = positions.ndim - 2
        *components, plastic_strain = self.remembered(axes)[:7]
        F, inverse = self.elements.deformation_gradient(positions), _symmetric(components)
        b = F @ inverse @ F.T
        slope = Matrix3(*_traced_strain().gradient([], b))
        strain = (slope + slope.T) @ b * 0.5  # the derivative of |ln(b)/2|² by b is the strain times b⁻¹
        deviator = strain.plus_identity(-strain.trace() / 3)
        shear = deviator.inner(deviator)
        flow, equivalent = self._flow(shear, plastic_strain)
        direction = deviator * torch.where(shear > 0, torch.where(shear > 0, shear, 1.0).rsqrt(), 0.0)
        J = F.det()
        # C_p⁻¹ = F⁻¹ b exp(-2 flow n) F⁻ᵀ at the end, and F⁻¹ b = C_p⁻¹ Fᵀ at the start.
        inverse = inverse @ F.T @ _exponential(direction * (-2 * flow)) @ F.cofactor() * (1 / J)
        inverse = ((inverse + inverse.T) * 0.5).plus_identity(-1.0)
        six = [inverse.xx, inverse.yy, inverse.zz, inverse.yz, inverse.zx, inverse.xy]
        none = torch.zeros_like(J)
        return from_fields([*six, plastic_strain + equivalent, none, none], 1 + self.elements.has_points)

    def _flow(self, shear: Tensor, plastic_strain: Tensor) -> tuple[Tensor, Tensor]:
        """Return the norm of the plastic strain of a step, and the equivalent one."""
        law, axes = self.material, shear.ndim - 1 - self.elements.has_points

        def field(value: Tensor) -> Tensor:
            return cells_first(value, axes, regions=self.regions)

        moduli = [field(value) for value in (law.mu, law.yield_stress, law.hardening_modulus)]
        return J2Plasticity.flow(shear, plastic_strain, *moduli)


def _traced_step(material: J2Plasticity) -> ModuleEnergy:
    """Return the energy density of a step with its derivatives, given the plastic deformation before it."""

    def density(*tensors: Tensor) -> Tensor:
        *components, plastic_strain = tensors[:7]
        F = Matrix3(*tensors[7:])
        return material.incremental_energy(F, F @ _symmetric(components) @ F.T, plastic_strain)

    return ModuleEnergy.of_kind(material, density, EXAMPLE, given=_PAST, method="incremental_energy")


@cache
def _traced_strain() -> PointwiseEnergy:
    """Return the squared norm of the logarithmic strain with its derivatives."""
    example = [
        torch.tensor(x, dtype=torch.float64) for x in (1.3, 0.2, -0.1, 0.2, 0.9, 0.05, -0.1, 0.05, 1.2)
    ]
    return PointwiseEnergy(lambda _, b: squared_log_strain(Matrix3(*b)), [], example)


def _symmetric(components: list[Tensor]) -> Matrix3:
    """Return the identity plus a symmetric matrix of six components."""
    xx, yy, zz, yz, zx, xy = components
    return Matrix3(xx + 1, xy, zx, xy, yy + 1, yz, zx, yz, zz + 1)


def _exponential(matrix: Matrix3) -> Matrix3:
    """Return the exponential of a matrix with a norm of a few, by its series at a quarter, squared twice."""
    quarter = matrix * 0.25
    result = quarter.plus_identity()
    power = quarter
    for k in range(2, 15):
        power = power @ quarter * (1 / k)
        result = result + power
    twice = result @ result
    return twice @ twice
