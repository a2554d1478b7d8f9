"""Materials whose energy is that of distortion and that of a change of volume, which has several forms."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from simlayer.autodiff.taylor_extension import extended
from simlayer.linalg.matrix3 import Matrix3
from simlayer.materials.base import Material, Range, check_range
from simlayer.quantities.arguments import checked_choice
from simlayer.quantities.checked_module import Option
from simlayer.quantities.quantity import Quantity

# U(J) / K by name: zero, without slope and with curvature one at J = 1.
VOLUMETRIC: dict[str, Callable[[Tensor], Tensor]] = {
    "quadratic": lambda J: (J - 1) ** 2 / 2,
    "logarithmic": lambda J: torch.log(J) ** 2 / 2,
    "simo_taylor": lambda J: (J**2 - 1 - 2 * torch.log(J)) / 4,
}


class NearlyIncompressible(Material, ABC):
    """A material whose energy is W(F / J^(1/3)) + K u(J): distortion and volume apart (Flory 1961).

    W is given by a subclass, u by name: "quadratic" is (J - 1)²/2, "logarithmic" (ln J)²/2, "simo_taylor"
    (J² - 1 - 2 ln J)/4 (Simo, Taylor 1982). The second is convex up to J = e only, and continues as a
    straight line there if it has a range.

    Args:
        bulk_modulus: K [Pa], positive.
        volumetric: the name of u.
        range: J in which the formulas hold, as in `NeoHookean`.
    """

    bulk_modulus = Quantity("Pa", over="cells", positive=True)
    volumetric = Option(checked_choice, choices=tuple(VOLUMETRIC), frozen=True)
    range = Option(check_range, frozen=True)

    def __init__(
        self,
        bulk_modulus: float | Tensor,
        *,
        volumetric: str = "quadratic",
        range: Range = (0.1, 5.0),
    ) -> None:
        super().__init__()
        self.bulk_modulus = bulk_modulus
        self.volumetric, self.range = volumetric, range

    @abstractmethod
    def distortion_energy(self, F: Matrix3) -> Tensor:
        """Return W [J/m³], which is the same for all multiples of F."""

    @property
    @abstractmethod
    def shear_modulus(self) -> Tensor:
        """The shear modulus at small strain [Pa]."""

    def energy_density(self, F: Matrix3) -> Tensor:
        return self.distortion_energy(F) + self.volume_energy(F.det())

    def volume_energy(self, J: Tensor) -> Tensor:
        """Return K u(J) [J/m³]."""
        if self.range is None or self.volumetric == "quadratic":  # which is its own continuation
            return self.bulk_modulus * VOLUMETRIC[self.volumetric](J)
        low, high = self.range
        logarithmic = self.volumetric == "logarithmic"
        range = (low, min(high, math.e)) if logarithmic else self.range
        return self.bulk_modulus * extended(VOLUMETRIC[self.volumetric], J, range)

    def first_invariant(self, F: Matrix3) -> Tensor:
        """Return J^(-2/3) |F|², the sum of squared principal stretches without the change of volume."""
        return F.inner(F) * self.power_of_volume(F.det(), -2 / 3)

    def second_invariant(self, F: Matrix3) -> Tensor:
        """Return J^(-4/3) |cof F|², the sum of squared stretches of areas without the change of volume."""
        cofactor = F.cofactor()
        return cofactor.inner(cofactor) * self.power_of_volume(F.det(), -4 / 3)

    def power_of_volume(self, J: Tensor, exponent: float | Tensor) -> Tensor:
        """Return J to a power, continued beyond the range."""
        return extended(lambda j: j**exponent, J, self.range)

    def stiffness_factors(self, tangent: Callable[[], Tensor]) -> tuple[Tensor | float, Tensor]:
        shear = self.shear_modulus
        return (self.bulk_modulus - 2 / 3 * shear).clamp(min=0), 2 * shear
