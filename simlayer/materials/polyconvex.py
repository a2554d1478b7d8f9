"""Hyperelastic materials whose energy density is a convex neural network of invariants."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence

import torch
from torch import Tensor

from simlayer.autodiff.taylor_extension import extended
from simlayer.linalg.matrix3 import Matrix3
from simlayer.materials.base import IsotropicMaterial, Range, check_range
from simlayer.materials.convex_network import ConvexNetwork, Expansion, check_hidden
from simlayer.quantities.checked_module import Option
from simlayer.quantities.quantity import derived_quantity


class PolyconvexNetworkMaterial(IsotropicMaterial, ABC):
    """A material that learns a polyconvex energy density, whatever its weights.

    With N(I₁ - 3, I₂ - 3, ..., J - 1) a network that is convex, and increasing in I₁ = |F|², I₂ = |cof F|²
    and those inputs that a subclass adds, which are convex functions of F or cof F and do not change near the
    rest shape to second order,

        psi = a/2 (I₁ - 3 - 2 (J - 1)) + k/2 (J - 1)² + s (N - N(0) - n (J - 1)) + g (J + 1/J - 2)²

    is polyconvex as a convex function of F, cof F and J, increasing in the norms of the first two (Ball
    1977), and infinite at J = 0 without a `range`. The rest shape has no energy, and no stress with n = 2 N₁
    + 4 N₂ + N_J at rest, a term that is linear in J and keeps polyconvexity (Linden, Klein, Kalina, Brummund,
    Weeger, Kästner 2023, "Neural networks meet hyperelasticity").

    The small-strain moduli are `youngs_modulus` and `poissons_ratio` whatever the network learns, and stable
    time steps follow from these: the network's own stiffness at rest, mu_N = 2 (N₁ + N₂) and
    lam_N + mu_N = N'' + 2 N₂, with N'' along (2, 4, 0, ..., 1), is scaled by s to less than the whole,
    and a and k are what it leaves.
    """

    derives_from = ("network",)
    hidden = Option(check_hidden, frozen=True)
    range = Option(check_range, frozen=True)

    def __init__(
        self,
        youngs_modulus: float | Tensor,
        poissons_ratio: float | Tensor,
        *,
        hidden: Sequence[int],
        range: Range,
        added: int = 0,
    ) -> None:
        super().__init__(youngs_modulus, poissons_ratio)
        self.hidden, self.range = hidden, range
        self._added = added
        self.network = ConvexNetwork(2 + added, 1, self.hidden)

    def network_density(self, F: Matrix3, cofactor: Matrix3, *added: Tensor) -> Tensor:
        """Return the energy per rest volume [J/m³] of F and its cofactor, given the inputs that are added."""
        I_1, I_2, volume = F.inner(F) - 3, cofactor.inner(cofactor) - 3, F.det() - 1
        learned = self.network((I_1, I_2, *added, volume)) - self.rest_value - self.rest_slope * volume
        growth = extended(lambda j: (j + 1 / j - 2) ** 2, volume + 1, self.range)
        base = self.half_shear * (I_1 - 2 * volume) + self.half_bulk * volume * volume
        return base + self.network_modulus * learned + self.growth_modulus * growth

    # What follows from quantities and weights alone is computed once per rollout and not at every step.

    @derived_quantity
    def rest_value(self) -> Tensor:
        """The network at rest."""
        return self._rest().value

    @derived_quantity
    def rest_slope(self) -> Tensor:
        """The derivative n of the network along an increase of J at rest."""
        return self._rest().gradient @ self._volumetric()

    @derived_quantity
    def network_modulus(self) -> Tensor:
        """The scale of the network's energy [Pa]."""
        shear, bulk = self._rest_moduli()
        return self.mu / (1 + shear + bulk * self.mu / (self.lam + self.mu))

    @derived_quantity
    def half_shear(self) -> Tensor:
        """Half the shear modulus that the network leaves to the term in I₁ [Pa]."""
        return 0.5 * (self.mu - self.network_modulus * self._rest_moduli()[0])

    @derived_quantity
    def half_bulk(self) -> Tensor:
        """Half the modulus that the network leaves to the term in J [Pa]."""
        return 0.5 * (self.lam + self.mu - self.network_modulus * self._rest_moduli()[1])

    @derived_quantity
    def growth_modulus(self) -> Tensor:
        """The scale of the energy that grows without bound [Pa]."""
        return 0.5 * (self.lam + self.mu)

    def _rest_moduli(self) -> tuple[Tensor, Tensor]:
        """Return the moduli mu_N and lam_N + mu_N of the network at rest, where n was subtracted."""
        _, (first, second, *_), curvature = self._rest()
        return 2 * (first + second), curvature + 2 * second

    def _rest(self) -> Expansion:
        return self.network.at_zero(self._volumetric())

    def _volumetric(self) -> Tensor:
        """The derivative of the network's inputs by the trace of the strain at rest."""
        return torch.tensor([2.0, 4.0, *[0.0] * self._added, 1.0]).to(self.network.biases[0])
