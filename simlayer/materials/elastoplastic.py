"""Elasticity and plasticity of metals in large strains, by logarithmic strains."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from simlayer.autodiff.taylor_extension import extended
from simlayer.linalg.log_strain import squared_log_strain
from simlayer.linalg.matrix3 import Matrix3
from simlayer.materials.base import IsotropicMaterial
from simlayer.quantities.quantity import Quantity

# J in which the logarithm is taken as it is; beyond, it continues as its quadratic Taylor polynomial.
_RANGE = (0.1, 2.5)
_ROOT = math.sqrt(2 / 3)


class J2Plasticity(IsotropicMaterial):
    """A metal: Hencky's elasticity, and J2 plasticity with linear isotropic hardening.

    For an `ElastoplasticForce`. It yields where the norm of the deviator of its Kirchhoff stress is
    sqrt(2/3) (yield_stress + hardening_modulus a), with a the equivalent plastic strain, and flows along the
    deviator (multiplicative plasticity in logarithmic strains; Simo 1992). By itself it is elastic.

    Args:
        youngs_modulus, poissons_ratio: as for `IsotropicMaterial`.
        yield_stress: in simple tension [Pa].
        hardening_modulus: how much that rises per plastic strain [Pa]; positive.
    """

    own_force = "ElastoplasticForce"

    yield_stress = Quantity("Pa", over="cells", positive=True)
    hardening_modulus = Quantity("Pa", over="cells", positive=True)

    def __init__(
        self,
        youngs_modulus: float | Tensor,
        poissons_ratio: float | Tensor,
        yield_stress: float | Tensor,
        hardening_modulus: float | Tensor,
    ) -> None:
        super().__init__(youngs_modulus, poissons_ratio)
        self.yield_stress, self.hardening_modulus = yield_stress, hardening_modulus

    def energy_density(self, F: Matrix3) -> Tensor:
        volume, shear = self._squared_strains(F, F @ F.T)
        return self._elastic(volume, shear)

    def incremental_energy(self, F: Matrix3, b: Matrix3, plastic_strain: Tensor) -> Tensor:
        """Return the energy density at the end of a step [J/m³], of elasticity, flow and hardening in it.

        Args:
            F: the deformation gradient.
            b: the elastic left Cauchy-Green tensor without flow in this step.
            plastic_strain: the equivalent one at its start.
        """
        volume, shear = self._squared_strains(F, b)
        moduli = self.mu, self.yield_stress, self.hardening_modulus
        flow, _ = self.flow(shear, plastic_strain, *moduli)
        # The excess of stress, linear in the flow, has done half of its work.
        return self._elastic(volume, shear) - 0.5 * _stiffness(self.mu, self.hardening_modulus) * flow**2

    @staticmethod
    def flow(
        shear: Tensor, plastic_strain: Tensor, mu: Tensor, yield_stress: Tensor, hardening_modulus: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the norm of the plastic strain of a step, and the equivalent one, zero below yield.

        Args:
            shear: the squared norm of the deviator of the logarithmic strain without it.
            plastic_strain: the equivalent one before the step.
            mu, yield_stress, hardening_modulus: of the material, in the shapes of these.
        """
        limit = _ROOT * (yield_stress + hardening_modulus * plastic_strain)
        flows = 4 * mu**2 * shear > limit**2
        # The root only where it is far from zero, so that its derivatives are finite.
        excess = 2 * mu * torch.where(flows, shear, 1.0).sqrt() - limit
        flow = torch.where(flows, excess, 0.0) / _stiffness(mu, hardening_modulus)
        return flow, _ROOT * flow

    def _elastic(self, volume: Tensor, shear: Tensor) -> Tensor:
        return 0.5 * (self.lam + 2 / 3 * self.mu) * volume + self.mu * shear

    @staticmethod
    def _squared_strains(F: Matrix3, b: Matrix3) -> tuple[Tensor, Tensor]:
        """Return the squares of the logarithmic strains of volume, and of the norm of the deviator of b."""
        volume = extended(lambda J: J.log() ** 2, F.det(), _RANGE)
        return volume, squared_log_strain(b) - volume / 3


def _stiffness(mu: Tensor, hardening_modulus: Tensor) -> Tensor:
    """Return how much the excess of the stress falls per norm of the plastic strain in a step [Pa]."""
    return 2 * mu + 2 / 3 * hardening_modulus
