"""Hyperelastic materials in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from simlayer.autodiff.taylor_extension import extended
from simlayer.linalg.matrix3 import Matrix3
from simlayer.linalg.polar import stretch_trace
from simlayer.materials.base import IsotropicMaterial, Range, check_range
from simlayer.quantities.arguments import checked_flag
from simlayer.quantities.checked_module import Option
from simlayer.quantities.quantity import derived_quantity


class StableNeoHookean(IsotropicMaterial):
    """Stable Neo-Hookean elasticity (Smith, de Goes, Kim 2018, "Stable Neo-Hookean Flesh Simulation").

    It is finite at any deformation, inverted cells included. The coefficients are corrected so that the
    small-strain stiffness is that of E and nu; uncorrected it is wrong by a quarter.

    Args:
        logarithm: include the term that keeps a collapsed cell from being a stable equilibrium.
    """

    logarithm = Option(checked_flag, frozen=True)

    def __init__(
        self, youngs_modulus: float | Tensor, poissons_ratio: float | Tensor, *, logarithm: bool = True
    ) -> None:
        super().__init__(youngs_modulus, poissons_ratio)
        self.logarithm = logarithm

    def energy_density(self, F: Matrix3) -> Tensor:
        I_C, J = F.inner(F), F.det()
        if not self.logarithm:
            return self.half_shear * (I_C - 3 - 2 * (J - 1)) + self.half_bulk * (J - 1) ** 2
        # The paper's lam/2 (J - alpha)² with alpha = 1 + 3/4 mu/lam, multiplied out, less what it is at rest.
        shear = I_C - 3 - 1.5 * (J - 1) - torch.log((I_C + 1) / 4)
        return self.half_shear * shear + self.half_bulk * (J - 1) ** 2

    # The material's own moduli, derived so that they are computed once per rollout and not at every step.

    @derived_quantity
    def half_shear(self) -> Tensor:
        """Half the modulus of the shear term [Pa]."""
        return (2 / 3 if self.logarithm else 1 / 2) * self.mu

    @derived_quantity
    def half_bulk(self) -> Tensor:
        """Half the modulus of the volume term [Pa]."""
        return (self.lam + (5 / 6 if self.logarithm else 1) * self.mu) / 2


class NeoHookean(IsotropicMaterial):
    """Compressible Neo-Hookean elasticity with logarithmic volume terms (Bonet, Wood, 2008).

    Args:
        range: J in which the formula holds; beyond it the energy continues as its quadratic expansion, with
            continuous stiffness, so that an inverted cell is pushed back. None: infinite at J = 0.
    """

    range = Option(check_range, frozen=True)

    def __init__(
        self, youngs_modulus: float | Tensor, poissons_ratio: float | Tensor, *, range: Range = (0.1, 5.0)
    ) -> None:
        super().__init__(youngs_modulus, poissons_ratio)
        self.range = range

    def energy_density(self, F: Matrix3) -> Tensor:
        def volumetric(J: Tensor) -> Tensor:
            return -self.mu * J.log() + 0.5 * self.lam * J.log() ** 2

        return 0.5 * self.mu * (F.inner(F) - 3) + extended(volumetric, F.det(), self.range)


class StVenantKirchhoff(IsotropicMaterial):
    """St. Venant-Kirchhoff elasticity: Hooke's law in the Green strain. It softens under compression."""

    def energy_density(self, F: Matrix3) -> Tensor:
        G = (F.T @ F).plus_identity(-1.0) * 0.5
        return self.mu * G.inner(G) + 0.5 * self.lam * G.trace() ** 2


class Corotated(IsotropicMaterial):
    """Fixed corotated elasticity (Stomakhin, Howes, Schroeder, Teran 2012): distance to the rotation of F.

    It needs no singular value decomposition, so that repeated stretches have exact derivatives. It is not
    defined for a cell collapsed to a point, and ill-conditioned for one collapsed to a line or inverted.
    """

    def energy_density(self, F: Matrix3) -> Tensor:
        distance = F.inner(F) - 2 * stretch_trace(F) + 3
        return self.mu * distance + 0.5 * self.lam * (F.det() - 1) ** 2


class LinearElastic(IsotropicMaterial):
    """Linear elasticity: Hooke's law in the small strain. It is not invariant under rotation."""

    def energy_density(self, F: Matrix3) -> Tensor:
        e = (F + F.T).plus_identity(-2.0) * 0.5
        return self.mu * e.inner(e) + 0.5 * self.lam * e.trace() ** 2
