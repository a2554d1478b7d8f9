"""Materials for rubber whose molecular chains can be stretched so far and no further."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from simlayer.autodiff.taylor_extension import extended
from simlayer.errors import ImplausibleWarning
from simlayer.linalg.matrix3 import Matrix3
from simlayer.materials.base import Range
from simlayer.materials.nearly_incompressible import NearlyIncompressible
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.checked_module import Option
from simlayer.quantities.quantity import Quantity

# J_m below which a bar locks at less than a twentieth of its length.
_LEAST_J_M = 0.0072
# Coefficients of the inverse Langevin function's series (Arruda, Boyce 1993, eq. 18).
_SERIES = (1 / 2, 1 / 20, 11 / 1050, 19 / 7000, 519 / 673750)


def _checked_limit(name: str, limit: Any) -> float | None:
    return None if limit is None else checked_number(name, limit, above=0, below=1)


class Gent(NearlyIncompressible):
    """Gent's material for rubber that locks (Gent 1996): W = -mu J_m/2 ln(1 - (I1 - 3)/J_m).

    I1 - 3 cannot reach J_m: a bar locks where l² + 2/l - 3 = J_m. From a fraction `limit` of J_m on, the
    logarithm continues as its quadratic expansion, so that a step that goes too far finds its way back.

    Args:
        mu: the small-strain shear modulus [Pa], positive.
        J_m: the largest I1 - 3, positive; some 30 to 100 for rubber.
        bulk_modulus: K [Pa], positive.
        limit: the fraction of J_m, between 0 and 1, up to which the formula holds; None: infinite at J_m, and
            not defined beyond.
        volumetric, range: as in `MooneyRivlin`.

    Warns:
        ImplausibleWarning: if a bar locks before it is stretched by a twentieth.
    """

    mu = Quantity("Pa", over="cells", positive=True)
    J_m = Quantity("1", over="cells", positive=True)
    limit = Option(_checked_limit, frozen=True)

    def __init__(
        self,
        mu: float | Tensor,
        J_m: float | Tensor,
        bulk_modulus: float | Tensor,
        *,
        limit: float | None = 0.99,
        volumetric: str = "quadratic",
        range: Range = (0.1, 5.0),
    ) -> None:
        super().__init__(bulk_modulus, volumetric=volumetric, range=range)
        self.mu, self.J_m, self.limit = mu, J_m, limit
        least = float(self.J_m.min())
        if least < _LEAST_J_M:
            warnings.warn(
                f"Gent locks in uniaxial tension before a stretch of 1.05: J_m is {least:g}. For rubber it "
                "is some 30 to 100.",
                ImplausibleWarning,
                stacklevel=3,
            )

    def distortion_energy(self, F: Matrix3) -> Tensor:
        fraction = (self.first_invariant(F) - 3) / self.J_m
        # The fraction is not negative but for rounding.
        interval = None if self.limit is None else (-self.limit, self.limit)
        return -self.mu * self.J_m / 2 * extended(lambda x: torch.log1p(-x), fraction, interval)

    @property
    def shear_modulus(self) -> Tensor:
        return self.mu


class ArrudaBoyce(NearlyIncompressible):
    """The eight-chain material for rubber, by five terms of its series (Arruda, Boyce 1993, eq. 18).

    W = mu sum_i C_i lambda_m^(2-2i) (I1^i - 3^i), with C = 1/2, 1/20, 11/1050, 19/7000, 519/673750. mu is the
    rubbery modulus n k T. The small-strain shear modulus is larger: mu (1 + 3/5 N⁻¹ + 99/175 N⁻² +
    513/875 N⁻³ + 42039/67375 N⁻⁴) with N = lambda_m². The series stays finite at the locking stretch.

    Args:
        mu: n k T [Pa], positive.
        lambda_m: the stretch at which chains lock, positive; it should be larger than 1.
        bulk_modulus: K [Pa], positive.
        volumetric, range: as in `MooneyRivlin`.

    Warns:
        ImplausibleWarning: if chains would be locked at rest.
    """

    mu = Quantity("Pa", over="cells", positive=True)
    lambda_m = Quantity("1", over="cells", positive=True)

    def __init__(
        self,
        mu: float | Tensor,
        lambda_m: float | Tensor,
        bulk_modulus: float | Tensor,
        *,
        volumetric: str = "quadratic",
        range: Range = (0.1, 5.0),
    ) -> None:
        super().__init__(bulk_modulus, volumetric=volumetric, range=range)
        self.mu, self.lambda_m = mu, lambda_m
        least = float(self.lambda_m.min())
        if least <= 1:
            warnings.warn(
                f"ArrudaBoyce has chains that are locked at rest: lambda_m is {least:g}. It should be larger "
                "than 1; for rubber it is some 3 to 6.",
                ImplausibleWarning,
                stacklevel=3,
            )

    def distortion_energy(self, F: Matrix3) -> Tensor:
        I_1, per_chain = self.first_invariant(F), self.lambda_m**-2
        terms = [C * per_chain**i * (I_1 ** (i + 1) - 3 ** (i + 1)) for i, C in enumerate(_SERIES)]
        return self.mu * sum(terms[1:], terms[0])

    @property
    def shear_modulus(self) -> Tensor:
        # 2 dW/dI1 at rest.
        terms = [2 * (i + 1) * C * (3 * self.lambda_m**-2) ** i for i, C in enumerate(_SERIES)]
        return self.mu * sum(terms[1:], terms[0])
