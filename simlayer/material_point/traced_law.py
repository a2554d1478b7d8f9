"""The stress of a law in homogeneous deformations, from its traced energy density."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from simlayer.forces.elastic import traced_energy_density
from simlayer.forces.module_energy import ModuleEnergy
from simlayer.linalg.matrix3 import Matrix3
from simlayer.material_point.free_components import FreeComponents, PointStress
from simlayer.material_point.isotropy import is_isotropic
from simlayer.material_point.pressure import isochoric, without_stress
from simlayer.materials.base import Material

# Stretches without a change of volume, of which the first are generic; laws are traced there.
_ISOCHORIC = ((1.25, 0.9, 1 / 1.125), (1.5, 1.5, 1 / 2.25), (2.0, 1.0, 0.5))
# The share of the energy that rounding may change, where terms of large size nearly cancel, too.
_AGREEMENT = 1e-3


class TracedLaw(nn.Module, ABC):
    """A law that was traced to compute stresses.

    Args:
        energy: its traced energy density.
    """

    def __init__(self, energy: ModuleEnergy) -> None:
        super().__init__()
        self.energy = energy

    @abstractmethod
    def is_isotropic(self, coefficients: Sequence[Tensor]) -> bool:
        """Return whether the law has no preferred direction, given what its energy reads."""

    @abstractmethod
    def stress(self, start: Matrix3, free: Sequence[int], coefficients: Sequence[Tensor]) -> PointStress:
        """Return F and the nominal stress [Pa], `(n, *batch)`, NaN where there is none.

        Args:
            start: F with its free components where their search starts.
            free: the places of these in the nine.
            coefficients: what the energy reads of the material.
        """

    def _where_defined(
        self, found: PointStress, coefficients: Sequence[Tensor], arguments: Sequence[Tensor]
    ) -> PointStress:
        """Return F and its stress, NaN where the energy is no number.

        Beyond where a law locks, its derivatives may be numbers, and its energy none.
        """
        with torch.no_grad():
            defined = self.energy.value(coefficients, arguments).isfinite()
        return PointStress(
            Matrix3(*(part.expand(defined.shape) for part in found.F)),
            Matrix3(*(torch.where(defined, part, torch.nan) for part in found.P)),
        )


class GeneralLaw(TracedLaw):
    """Any law, in any deformation.

    Args:
        material: the law.
        incompressible: whether det F = 1.
    """

    def __init__(self, material: Material, *, incompressible: bool) -> None:
        super().__init__(traced_energy_density(material))
        self.incompressible = incompressible

    def is_isotropic(self, coefficients: Sequence[Tensor]) -> bool:
        return is_isotropic(self.energy, coefficients)

    def stress(self, start: Matrix3, free: Sequence[int], coefficients: Sequence[Tensor]) -> PointStress:
        solver = FreeComponents(self.energy, free, incompressible=self.incompressible)
        inputs = (*start, *coefficients)
        found = solver.stress(solver(*inputs) if solver.sought else None, *inputs)
        return self._where_defined(found, coefficients, found.F)


class PrincipalLaw(TracedLaw):
    """An incompressible law with an energy of principal stretches, in deformations along the axes.

    Three stretches are traced in a fraction of the time of nine components.

    Args:
        material: the law.

    Raises:
        ValueError: if that energy and that of a deformation gradient disagree.
    """

    def __init__(self, material: Material) -> None:
        _check_agreement(material)
        name = "energy_of_stretches"
        energy = ModuleEnergy.of_kind(material, lambda *x: _energy(material, x), _ISOCHORIC[0], method=name)
        super().__init__(energy)

    @classmethod
    def of(cls, material: Material) -> PrincipalLaw | None:
        """Return that of a material, None if it has no such formula."""
        stretches = _stretches(material, _ISOCHORIC[0])
        return None if material.energy_of_stretches(stretches) is None else cls(material)

    def is_isotropic(self, coefficients: Sequence[Tensor]) -> bool:
        return True

    def stress(self, start: Matrix3, free: Sequence[int], coefficients: Sequence[Tensor]) -> PointStress:
        F = isochoric(start, free[-1])
        stretches = F.xx, F.yy, F.zz
        x, y, z = self.energy.gradient(coefficients, stretches)
        o = torch.zeros_like(x)
        P = without_stress(Matrix3(x, o, o, o, y, o, o, o, z), F, free[-1])
        return self._where_defined(PointStress(F, P), coefficients, stretches)


def _energy(material: Material, stretches: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    energy = material.energy_of_stretches(stretches)
    assert energy is not None, "the law has no formula for its energy of principal stretches"
    return energy


def _stretches(material: Material, numbers: Sequence[float]) -> tuple[Tensor, Tensor, Tensor]:
    like = next(material.parameters())
    x, y, z = (like.new_tensor(number) for number in numbers)
    return x, y, z


@torch.no_grad()
def _check_agreement(material: Material) -> None:
    """Raise ValueError unless the energy of principal stretches is that of diagonal matrices.

    That of a class whose parent has such a formula, and which overrides the other energy alone, is not.
    """
    pairs = []
    for numbers in _ISOCHORIC:
        x, y, z = _stretches(material, numbers)
        o = torch.zeros_like(x)
        diagonal = Matrix3(x, o, o, o, y, o, o, o, z)
        pairs.append(torch.stack([_energy(material, (x, y, z)), material.energy_density(diagonal)]))
    found = torch.stack(pairs)
    wrong = (found[:, 0] - found[:, 1]).abs() > _AGREEMENT * found.abs().amax()
    if bool(wrong.any()):
        energy, other = found.movedim(1, -1)[wrong][0].tolist()
        kind = type(material).__name__
        raise ValueError(
            f"{kind}.energy_of_stretches must be its energy_density of a diagonal matrix, got {energy:g} and "
            f"{other:g} J/m³: override both, or return None from the former."
        )
