"""Viscoelastic forces: a hyperelastic material with stresses that relax."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from simlayer.fem.fields import cells_first
from simlayer.forces.elastic import EXAMPLE
from simlayer.forces.inelastic import InelasticForce
from simlayer.forces.internal_variables import from_fields
from simlayer.forces.module_energy import ModuleEnergy
from simlayer.linalg.matrix3 import Matrix3
from simlayer.materials.base import Material
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arrays import described
from simlayer.quantities.per_term import per_term
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import Quantity

# J in which its power is taken as it is; beyond, it continues as its quadratic Taylor polynomial.
_LOW, _HIGH = 0.1, 5.0
# To trace with: a weight and the six components of a symmetric tensor.
_WEIGHT_AND_STRESS = (0.7, 0.3, 0.2, 0.1, 0.4, 0.25, 0.15)


class PronyTerm(PhysicalModule):
    """One term of the relaxation of a `ViscoelasticForce`.

    Args:
        ratio: the modulus that relaxes over the one that stays.
        relaxation_time: [s].
    """

    ratio = Quantity("1", over="cells", positive=True)
    relaxation_time = Quantity("s", over="cells", positive=True)

    def __init__(self, ratio: float | Tensor, relaxation_time: float | Tensor) -> None:
        super().__init__()
        self.ratio, self.relaxation_time = ratio, relaxation_time


class ViscoelasticForce(InelasticForce):
    """The forces of a body whose resistance to distortion relaxes, by a Prony series (Simo 1987).

    The material is what stays after a long time. Beside it, in small strains, is a shear modulus
    G(t) = G sum_t ratio_t exp(-t / time_t) after a sudden strain; the change of volume does not relax. In
    large strains the relaxing stresses are driven by the isochoric second Piola-Kirchhoff stress of the
    material, by a linear law for each term, which is integrated exactly where that stress changes
    linearly over a step (Taylor, Pister, Goudreau 1970); so they need no shorter steps than the motion.

    Until a rollout starts, the body has been in its rest shape. To start from a state that has been held for
    a long time, take the state that an `Equilibrium` with a dt of many relaxation times ends in, with its
    history. Every term is a part with quantities of its own: `forces.elastic.terms.0.ratio` and so on.

    Its energy is that of a sudden deformation from where the body is: what it has lost by relaxing is not
    known for every material, so `readouts.energies` have none, and its work is that of a force.

    Args:
        mesh, material, regions, deterministic, quadrature: as for `ElasticForce`.
        ratios: a value for each term, each as of any quantity: one number, or one per cell or region.
        relaxation_times: one for each term [s].

    Raises:
        ValueError: if there are not as many ratios as times, or as for `ElasticForce`.
    """

    def __init__(
        self,
        mesh: Mesh,
        material: Material,
        *,
        ratios: Sequence[float | Tensor] | Tensor,
        relaxation_times: Sequence[float | Tensor] | Tensor,
        regions: Int[Tensor, "M"] | None = None,
        deterministic: bool | None = None,
        quadrature: Literal["full", "reduced"] = "full",
    ) -> None:
        super().__init__(mesh, material, regions=regions, deterministic=deterministic, quadrature=quadrature)
        given = per_term("ratios", ratios), per_term("relaxation_times", relaxation_times)
        if len(given[0]) != len(given[1]):
            raise ValueError(
                f"ratios and relaxation_times must have a value for each term, got {described(ratios)} and "
                f"{described(relaxation_times)}."
            )
        self.terms = nn.ModuleList(map(PronyTerm, *given))
        for term in self._terms():
            term.set_extents(cells=material.extents["cells"])
        self.distortion = ModuleEnergy.of_kind(
            material, lambda *F: _distortion(material, Matrix3(*F)), EXAMPLE, method="distortion"
        )
        # The stress that drives the terms, then those that relax: six components each.
        self.remember(_traced_with_memory(material), rows=2 * (1 + len(self.terms)))

    def coefficients(self, positions: Float[Tensor, "*batch N 3"]) -> list[Tensor]:
        axes = positions.ndim - 2
        driving, relaxing = self._memory(axes)
        weight: Tensor | float = 0.0
        held = [torch.zeros_like(part) for part in driving]
        for (kept, share), stresses in zip(self._shares(self.elapsed, axes), relaxing, strict=True):
            weight = weight + share
            held = [h + kept * q - share * s for h, q, s in zip(held, stresses, driving, strict=True)]
        own = self.traced_density.coefficients(self.material, axes, regions=self.regions)
        return [*own, torch.as_tensor(weight).to(positions), *held]

    def updated(self, positions: Float[Tensor, "*batch N 3"], dt: float) -> Float[Tensor, "*batch K 3"]:
        axes = positions.ndim - 2
        before, relaxing = self._memory(axes)
        driving = self._driving_stress(positions)
        rows = [*driving]
        for (kept, share), stresses in zip(self._shares(dt, axes), relaxing, strict=True):
            rows += [
                kept * q + share * (after - s) for q, s, after in zip(stresses, before, driving, strict=True)
            ]
        return from_fields(rows, 1 + self.elements.has_points)

    def rest_stiffness_bound(self) -> Float[Tensor, "*batch #M"]:
        constant, largest = self.material.stiffness_factors(self._rest_tangent)
        total = 1 + sum(term.ratio for term in self._terms())
        pressure, shear = self.elements.current_bounds(self.rest_bounds)
        return self._per_cell(constant) * pressure + self._per_cell(largest) * self._per_cell(total) * shear

    def _memory(self, batch_axes: int) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Return the stress that drove the terms at the start of the step, and that of each term [Pa]."""
        fields = self.remembered(batch_axes)
        first, *others = (fields[k : k + 6] for k in range(0, len(fields), 6))
        return first, others

    def _driving_stress(self, positions: Float[Tensor, "*batch N 3"]) -> list[Tensor]:
        """Return J^(2/3) times the isochoric second Piola-Kirchhoff stress of the material [Pa]."""
        F = self.elements.deformation_gradient(positions)
        own = self.distortion.coefficients(self.material, positions.ndim - 2, regions=self.regions)
        P = Matrix3(*self.distortion.gradient(own, F))
        # F⁻¹ P, with the inverse by cofactors, and J^(2/3) / J in one power, which is finite for every J.
        S = (F.cofactor().T @ P) * _power(F.det())
        return [S.xx, S.yy, S.zz, S.yz, S.zx, S.xy]

    def _shares(self, duration: float | Tensor, batch_axes: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield for each term the share of its stress that stays, and that of a change of the driving one."""
        for term in self._terms():
            ratio, time = (
                cells_first(value, batch_axes, regions=self.regions)
                for value in (term.ratio, term.relaxation_time)
            )
            age = duration / time
            yield torch.exp(-age), ratio * _mean_of_decay(age)

    def _terms(self) -> list[PronyTerm]:
        return cast("list[PronyTerm]", list(self.terms))


def _traced_with_memory(material: Material) -> ModuleEnergy:
    """Return the density W + w W~ + 1/2 H : C~ of a step, with its derivatives; ~ is without volume."""

    def density(weight: Tensor, *tensors: Tensor) -> Tensor:
        xx, yy, zz, yz, zx, xy, *components = tensors
        F = Matrix3(*components)
        power, C = _power(F.det()), F.T @ F
        work = xx * C.xx + yy * C.yy + zz * C.zz + 2 * (yz * C.yz + zx * C.zx + xy * C.xy)
        relaxing = weight * material.energy_density(F * power) + 0.5 * power**2 * work
        return material.energy_density(F) + relaxing

    return ModuleEnergy.of_kind(
        material, density, EXAMPLE, given=_WEIGHT_AND_STRESS, method="energy_density with memory"
    )


def _distortion(material: Material, F: Matrix3) -> Tensor:
    """Return the energy density of a deformation without its change of volume."""
    return material.energy_density(F * _power(F.det()))


def _power(J: Tensor) -> Tensor:
    """Return J^(-1/3)."""
    # As `extended`, which cannot be called in a step that is not traced, would.
    inside = J.clamp(min=_LOW).clamp(max=_HIGH)
    beyond = J / inside - 1
    return inside ** (-1 / 3) * (1 - beyond / 3 * (1 - beyond * (2 / 3)))


def _mean_of_decay(age: Tensor) -> Tensor:
    """Return (1 - exp(-a))/a, the mean of a decay over a step."""
    small = age < 1e-3
    series = 1 - age / 2 * (1 - age / 3 * (1 - age / 4))
    return torch.where(small, series, -torch.expm1(-age) / torch.where(small, 1.0, age))
