"""Ogden's material, given by powers of principal stretches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from simlayer.linalg.matrix3 import Matrix3
from simlayer.linalg.spectral_sum import total
from simlayer.linalg.stretch_powers import stretch_power_sum
from simlayer.materials.base import Range
from simlayer.materials.nearly_incompressible import NearlyIncompressible
from simlayer.materials.stability import warn_of_instability
from simlayer.quantities.per_term import per_term
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import Quantity

# mu / alpha of a smaller exponent would be lost by rounding in what it is multiplied with.
_LEAST_EXPONENT = 1e-4


class OgdenTerm(PhysicalModule):
    """One term of an `Ogden` material.

    Args:
        mu: [Pa], of any sign.
        alpha: the exponent, of any sign, not zero.
    """

    mu = Quantity("Pa", over="cells", scale=1e4)
    alpha = Quantity("1", over="cells", scale=1.0)

    def __init__(self, mu: float | Tensor, alpha: float | Tensor) -> None:
        super().__init__()
        self.mu, self.alpha = mu, alpha
        near = self.alpha.abs() < _LEAST_EXPONENT
        if bool(near.any()):
            raise ValueError(
                f"alpha must be {_LEAST_EXPONENT:g} or larger in size, got {self.alpha[near].flatten()[0]:g}."
            )


class Ogden(NearlyIncompressible):
    """Ogden's material for rubber (Ogden 1972): W = sum_t mu_t/alpha_t (l1^alpha_t + l2^alpha_t + l3^alpha_t - 3).

    l are the principal stretches without the change of volume. The small-strain shear modulus is half the sum
    of mu_t alpha_t. Derivatives are exact where stretches coincide, of the energy up to the third. Every
    term is a part with quantities of its own, by the names `terms.0.mu`, `terms.0.alpha`, `terms.1.mu` and so
    on: `forces.elastic.material.terms.0.mu` in a rollout and in train.py.

    Args:
        mu: a value for each term [Pa], of any sign, each as of any quantity; mu = (1e5,) is one term.
        alpha: an exponent for each term, of any sign, not zero.
        bulk_modulus: K [Pa], positive.
        volumetric, range: as in `MooneyRivlin`.

    Raises:
        ValueError: if mu and alpha are not of equal number, or an exponent is zero.

    Warns:
        ImplausibleWarning: if a test of tension loses stability at a stretch up to 4.
    """  # noqa: E501 - a formula

    def __init__(
        self,
        mu: Sequence[float | Tensor] | Tensor,
        alpha: Sequence[float | Tensor] | Tensor,
        bulk_modulus: float | Tensor,
        *,
        volumetric: str = "quadratic",
        range: Range = (0.1, 5.0),
    ) -> None:
        super().__init__(bulk_modulus, volumetric=volumetric, range=range)
        moduli, exponents = per_term("mu", mu), per_term("alpha", alpha)
        if len(moduli) != len(exponents):
            raise ValueError(
                f"mu and alpha must have a value for each term, got {len(moduli)} of mu, {len(exponents)} of "
                "alpha."
            )
        self.terms = nn.ModuleList(map(OgdenTerm, moduli, exponents))
        warn_of_instability(self)

    def distortion_energy(self, F: Matrix3) -> Tensor:
        J = F.det()
        weighted = [(term.mu / term.alpha, term.alpha) for term in self._terms()]
        powers = [(w * self.power_of_volume(J, -alpha / 3), alpha) for w, alpha in weighted]
        return stretch_power_sum(F, powers) - 3 * total([w for w, _ in weighted])

    def energy_of_stretches(self, stretches: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        logs = [stretch.log() for stretch in stretches]
        mean = total(logs) / 3
        powers = [
            (term.mu / term.alpha) * (total([(term.alpha * (log - mean)).exp() for log in logs]) - 3)
            for term in self._terms()
        ]
        return total(powers) + self.volume_energy(stretches[0] * stretches[1] * stretches[2])

    @property
    def shear_modulus(self) -> Tensor:
        return total([term.mu * term.alpha / 2 for term in self._terms()])

    def _terms(self) -> list[OgdenTerm]:
        return cast("list[OgdenTerm]", list(self.terms))
