"""Hyperelastic materials: a material is its energy density, everything else is derived."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from simlayer.autodiff.taylor_extension import extended
from simlayer.linalg.matrix3 import Matrix3
from simlayer.linalg.polar import stretch_trace
from simlayer.quantities.arguments import checked_flag, checked_number, checked_several
from simlayer.quantities.checked_module import Option
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import Quantity, derived_quantity

Range = tuple[float, float] | None


def check_range(name: str, range: Range) -> Range:
    """Return the range of J in which a material holds; raises ValueError unless it encloses J = 1."""
    if range is None:
        return None
    low, high = checked_several(name, range, 2, checked_number)
    if not 0 < low < 1 < high:
        raise ValueError(f"{name} must enclose J = 1 between two positive numbers, got {range}.")
    return low, high


class Material(PhysicalModule, ABC):
    """A hyperelastic material, given by its energy density.

    A new material is a class with its quantities and `energy_density(F)`, written with elementwise operations
    on the nine components of F; its stress and tangent are traced from it.
    """

    @abstractmethod
    def energy_density(self, F: Matrix3) -> Tensor:
        """Return the energy per rest volume [J/m³] of a deformation gradient."""

    def stiffness_factors(self, tangent: Callable[[], Tensor]) -> tuple[Tensor | float, Tensor]:
        """Return two numbers (p, q) [Pa] that bound the stiffness at rest, cheaply.

        The second derivative of psi along dF is at most p (tr dF)² + q |dF|².

        Args:
            tangent: computes d²psi/dF² at rest, `(*batch, own, 9, 9)`.
        """
        return 0.0, tangent().abs().sum(-1).amax(-1)


class IsotropicMaterial(Material, ABC):
    """A material whose small-strain stiffness is that of Young's modulus and Poisson's ratio.

    Args:
        youngs_modulus: E [Pa], positive: one value, or one per cell or region.
        poissons_ratio: nu, in (-1, 0.5): one value, or one per cell or region.
    """

    youngs_modulus = Quantity("Pa", over="cells", positive=True)
    poissons_ratio = Quantity("1", over="cells", bounds=(-1.0, 0.5))

    def __init__(self, youngs_modulus: float | Tensor, poissons_ratio: float | Tensor) -> None:
        super().__init__()
        self.youngs_modulus = youngs_modulus
        self.poissons_ratio = poissons_ratio

    @derived_quantity
    def mu(self) -> Tensor:
        """Shear modulus, the second Lamé parameter [Pa]."""
        return self.youngs_modulus / (2 * (1 + self.poissons_ratio))

    @derived_quantity
    def lam(self) -> Tensor:
        """First Lamé parameter [Pa]."""
        E, nu = self.youngs_modulus, self.poissons_ratio
        return E * nu / ((1 + nu) * (1 - 2 * nu))

    def stiffness_factors(self, tangent: Callable[[], Tensor]) -> tuple[Tensor | float, Tensor]:
        # The volumetric part has rank one. Tighter than the general bound by up to 1.7 in the time step.
        return self.lam.clamp(min=0), 2 * self.mu


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


class MooneyRivlin(Material):
    """Mooney-Rivlin elasticity in isochoric invariants, for rubber (Mooney 1940, Rivlin 1948).

    The small-strain shear modulus is 2 (c10 + c01).

    Args:
        c10, c01: coefficients of the first and second invariant [Pa], positive.
        bulk_modulus: K [Pa], positive.
        range: the interval of J in which the formula holds, as in `NeoHookean`.
    """

    c10 = Quantity("Pa", over="cells", positive=True)
    c01 = Quantity("Pa", over="cells", positive=True)
    bulk_modulus = Quantity("Pa", over="cells", positive=True)
    range = Option(check_range, frozen=True)

    def __init__(
        self,
        c10: float | Tensor,
        c01: float | Tensor,
        bulk_modulus: float | Tensor,
        *,
        range: Range = (0.1, 5.0),
    ) -> None:
        super().__init__()
        self.c10, self.c01, self.bulk_modulus = c10, c01, bulk_modulus
        self.range = range

    def energy_density(self, F: Matrix3) -> Tensor:
        C = F.T @ F
        I_1 = C.trace()
        I_2 = 0.5 * (I_1**2 - C.inner(C))
        J = F.det()
        return (
            self.c10 * (I_1 * extended(lambda j: j ** (-2 / 3), J, self.range) - 3)
            + self.c01 * (I_2 * extended(lambda j: j ** (-4 / 3), J, self.range) - 3)
            + 0.5 * self.bulk_modulus * (J - 1) ** 2
        )
