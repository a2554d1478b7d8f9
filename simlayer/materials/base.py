"""What a hyperelastic material is: its energy density; everything else is derived."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from simlayer.linalg.matrix3 import Matrix3
from simlayer.quantities.arguments import checked_number, checked_several
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

    Attributes:
        own_force: the name of the force that reads more of the material than its energy density, such as when
            it yields; None for one that is elastic.
    """

    own_force: ClassVar[str | None] = None

    @abstractmethod
    def energy_density(self, F: Matrix3) -> Tensor:
        """Return the energy per rest volume [J/m³] of a deformation gradient."""

    def energy_of_stretches(self, stretches: tuple[Tensor, Tensor, Tensor]) -> Tensor | None:
        """Return the energy per rest volume [J/m³] of principal stretches, None without a formula for it.

        An isotropic law that is written in principal stretches may have one, which needs no eigenvectors: for
        deformations along known axes. It has the values of `energy_density`, where formulas need no
        continuation.
        """
        return None

    def set_extents(self, **extents: int) -> None:
        super().set_extents(**extents)
        for part in self.children():
            for module in part.modules():
                if isinstance(module, PhysicalModule):
                    module.set_extents(**extents)

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
