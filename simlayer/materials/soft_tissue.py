"""Materials for soft tissue, which stiffens exponentially; with families of fibres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.linalg.matrix3 import Matrix3, dot
from simlayer.linalg.spectral_sum import total
from simlayer.materials.base import Range
from simlayer.materials.nearly_incompressible import NearlyIncompressible
from simlayer.quantities.arrays import checked_directions, described
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import Quantity, derived_quantity


class Fung(NearlyIncompressible):
    """The isotropic exponential material for soft tissue: W = mu/(2 b) (exp(b (I1 - 3)) - 1).

    Fung 1967, in the form for three dimensions of Demiray 1972.

    Args:
        mu: the small-strain shear modulus [Pa], positive.
        b: how fast it stiffens, positive.
        bulk_modulus: K [Pa], positive.
        volumetric, range: as in `MooneyRivlin`.
    """

    mu = Quantity("Pa", over="cells", positive=True)
    b = Quantity("1", over="cells", positive=True)

    def __init__(
        self,
        mu: float | Tensor,
        b: float | Tensor,
        bulk_modulus: float | Tensor,
        *,
        volumetric: str = "quadratic",
        range: Range = (0.1, 5.0),
    ) -> None:
        super().__init__(bulk_modulus, volumetric=volumetric, range=range)
        self.mu, self.b = mu, b

    def distortion_energy(self, F: Matrix3) -> Tensor:
        return self.mu / (2 * self.b) * torch.expm1(self.b * (self.first_invariant(F) - 3))

    @property
    def shear_modulus(self) -> Tensor:
        return self.mu


class FibreFamily(PhysicalModule):
    """One family of fibres of a `HolzapfelGasserOgden` material.

    Args:
        direction: a, of any length: one for all, `(3,)`, or one per cell or region, `(M, 3)`.
        k1: the stiffness of stretched fibres [Pa], positive.
        k2: how fast they stiffen, positive.
        kappa: how dispersed their directions are, from 0 for parallel fibres to below 1/3 for an isotropic
            distribution.

    Raises:
        ValueError: if a fibre has no direction.
    """

    k1 = Quantity("Pa", over="cells", positive=True)
    k2 = Quantity("1", over="cells", positive=True)
    kappa = Quantity("1", over="cells", bounds=(0.0, 1 / 3), closed=True)
    direction: Tensor

    def __init__(
        self,
        direction: Sequence[float] | Float[Tensor, "*cells 3"],
        k1: float | Tensor,
        k2: float | Tensor,
        kappa: float | Tensor = 0.0,
    ) -> None:
        super().__init__()
        directions = checked_directions("direction", direction).to(torch.get_default_dtype())
        self.register_buffer("direction", directions, persistent=False)
        self.k1, self.k2, self.kappa = k1, k2, kappa

    def set_extents(self, **extents: int) -> None:
        super().set_extents(**extents)
        count = self.extents.get("cells")
        if count is not None and len(self.direction) not in (1, count):
            raise ValueError(
                f"direction must be one (3,) or one per cell or region ({count}, 3), got shape "
                f"{tuple(self.direction.shape)}."
            )

    def energy(self, F: Matrix3, first_invariant: Tensor, scale: Tensor) -> Tensor:
        """Return k1/(2 k2) (exp(k2 <E>²) - 1) [J/m³]; `scale` is J^(-2/3), without the change of volume."""
        fibre = (self.direction_x, self.direction_y, self.direction_z)
        along = tuple(dot(F.row(i), fibre) for i in range(3))
        stretch = scale * dot(along, along) - 1
        E = self.kappa * (first_invariant - 3) + (1 - 3 * self.kappa) * stretch
        return self.k1 / (2 * self.k2) * torch.expm1(self.k2 * E.clamp(min=0) ** 2)

    @derived_quantity
    def direction_x(self) -> Tensor:
        """The first component of a."""
        return self.direction[:, 0]

    @derived_quantity
    def direction_y(self) -> Tensor:
        """The second component of a."""
        return self.direction[:, 1]

    @derived_quantity
    def direction_z(self) -> Tensor:
        """The third component of a."""
        return self.direction[:, 2]


class HolzapfelGasserOgden(NearlyIncompressible):
    """A matrix with families of fibres that only pull, for arteries and other tissue.

    W = mu/2 (I1 - 3) + sum k1/(2 k2) (exp(k2 <E>²) - 1), E = kappa (I1 - 3) + (1 - 3 kappa) (I4 - 1), where
    I4 is the squared stretch along a family and <E> is zero where E is negative (Holzapfel, Gasser, Ogden
    2000; with dispersion kappa, Gasser, Ogden, Holzapfel 2006). All stretches are without the change of
    volume, for tissue that hardly changes it. The stress is continuous; the stiffness jumps where a family
    goes slack, which is the case at rest. Quantities of a family are named `families.0.k1` and so on.

    Args:
        mu: the shear modulus of the matrix [Pa], positive.
        families: one or more of `FibreFamily`.
        bulk_modulus: K [Pa], positive.
        volumetric, range: as in `MooneyRivlin`.

    Raises:
        TypeError: if a family is none.
        ValueError: if there are no families.
    """

    mu = Quantity("Pa", over="cells", positive=True)

    def __init__(
        self,
        mu: float | Tensor,
        families: Sequence[FibreFamily],
        bulk_modulus: float | Tensor,
        *,
        volumetric: str = "quadratic",
        range: Range = (0.1, 5.0),
    ) -> None:
        super().__init__(bulk_modulus, volumetric=volumetric, range=range)
        self.mu = mu
        self.families = nn.ModuleList(_checked_families(families))

    def distortion_energy(self, F: Matrix3) -> Tensor:
        I_1, scale = self.first_invariant(F), self.power_of_volume(F.det(), -2 / 3)
        fibres = [family.energy(F, I_1, scale) for family in self._families()]
        return self.mu / 2 * (I_1 - 3) + total(fibres)

    @property
    def shear_modulus(self) -> Tensor:
        # An upper bound: with all fibres taut, each along the shear that stretches it most. The square of
        # 2 (1 - 3 kappa) a·e a is at most 8/3 (1 - 3 kappa)² |e|² for e without a change of volume.
        taut = [family.k1 * (1 - 3 * family.kappa) ** 2 for family in self._families()]
        return self.mu + 4 / 3 * total(taut)

    def _families(self) -> list[FibreFamily]:
        return cast("list[FibreFamily]", list(self.families))


def _checked_families(families: Any) -> list[FibreFamily]:
    parts = list(families) if isinstance(families, (Sequence, nn.ModuleList)) else [families]
    for part in parts:
        if not isinstance(part, FibreFamily):
            raise TypeError(
                "families must be a sequence of FibreFamily, such as [FibreFamily((1, 0, 0), 2e3, 0.8)], got "
                f"{described(part)}."
            )
    if not parts:
        raise ValueError(f"families must hold at least one FibreFamily, got {described(families)}.")
    return parts
