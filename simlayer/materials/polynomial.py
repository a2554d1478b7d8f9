"""Materials for rubber whose energy is a polynomial in the invariants."""

from __future__ import annotations

from torch import Tensor

from simlayer.linalg.matrix3 import Matrix3
from simlayer.materials.base import Range
from simlayer.materials.nearly_incompressible import NearlyIncompressible
from simlayer.materials.stability import warn_of_instability
from simlayer.quantities.quantity import Quantity


class MooneyRivlin(NearlyIncompressible):
    """Mooney-Rivlin elasticity in isochoric invariants, for rubber (Mooney 1940, Rivlin 1948).

    The small-strain shear modulus is 2 (c10 + c01). For coefficients of any sign see `MooneyRivlin5`.

    Args:
        c10, c01: coefficients of the first and second invariant [Pa], positive.
        bulk_modulus: K [Pa], positive.
        volumetric: the energy of a change of volume: "quadratic", "logarithmic" or "simo_taylor".
        range: the interval of J in which the formula holds, as in `NeoHookean`.
    """

    c10 = Quantity("Pa", over="cells", positive=True)
    c01 = Quantity("Pa", over="cells", positive=True)

    def __init__(
        self,
        c10: float | Tensor,
        c01: float | Tensor,
        bulk_modulus: float | Tensor,
        *,
        volumetric: str = "quadratic",
        range: Range = (0.1, 5.0),
    ) -> None:
        super().__init__(bulk_modulus, volumetric=volumetric, range=range)
        self.c10, self.c01 = c10, c01

    def distortion_energy(self, F: Matrix3) -> Tensor:
        return self.c10 * (self.first_invariant(F) - 3) + self.c01 * (self.second_invariant(F) - 3)

    @property
    def shear_modulus(self) -> Tensor:
        return 2 * (self.c10 + self.c01)


class MooneyRivlin5(NearlyIncompressible):
    """Mooney-Rivlin elasticity of five terms (Rivlin, Saunders 1951), with coefficients of any sign.

    W = c10 x + c01 y + c20 x² + c11 x y + c02 y², with x = I1 - 3 and y = I2 - 3. The small-strain shear
    modulus is 2 (c10 + c01). A set that fits one kind of test may be unstable in another.

    Args:
        c10, c01, c20, c11, c02: the coefficients [Pa].
        bulk_modulus: K [Pa], positive.
        volumetric, range: as in `MooneyRivlin`.

    Warns:
        ImplausibleWarning: if a test of tension loses stability at a stretch up to 4.
    """

    c10 = Quantity("Pa", over="cells", scale=1e5)
    c01 = Quantity("Pa", over="cells", scale=1e5)
    c20 = Quantity("Pa", over="cells", scale=1e3)
    c11 = Quantity("Pa", over="cells", scale=1e3)
    c02 = Quantity("Pa", over="cells", scale=1e3)

    def __init__(
        self,
        c10: float | Tensor,
        c01: float | Tensor,
        c20: float | Tensor,
        c11: float | Tensor,
        c02: float | Tensor,
        bulk_modulus: float | Tensor,
        *,
        volumetric: str = "quadratic",
        range: Range = (0.1, 5.0),
    ) -> None:
        super().__init__(bulk_modulus, volumetric=volumetric, range=range)
        self.c10, self.c01, self.c20, self.c11, self.c02 = c10, c01, c20, c11, c02
        warn_of_instability(self)

    def distortion_energy(self, F: Matrix3) -> Tensor:
        x, y = self.first_invariant(F) - 3, self.second_invariant(F) - 3
        return x * (self.c10 + self.c20 * x + self.c11 * y) + y * (self.c01 + self.c02 * y)

    @property
    def shear_modulus(self) -> Tensor:
        return 2 * (self.c10 + self.c01)


class Yeoh(NearlyIncompressible):
    """Yeoh's material for filled rubber: a cubic in the first invariant (Yeoh 1993).

    W = c10 x + c20 x² + c30 x³, with x = I1 - 3. The small-strain shear modulus is 2 c10. c20 < 0 softens it
    first, c30 > 0 stiffens it at large stretches.

    Args:
        c10: [Pa], positive.
        c20, c30: [Pa], of any sign.
        bulk_modulus: K [Pa], positive.
        volumetric, range: as in `MooneyRivlin`.

    Warns:
        ImplausibleWarning: if a test of tension loses stability at a stretch up to 4.
    """

    c10 = Quantity("Pa", over="cells", positive=True)
    c20 = Quantity("Pa", over="cells", scale=1e3)
    c30 = Quantity("Pa", over="cells", scale=10.0)

    def __init__(
        self,
        c10: float | Tensor,
        c20: float | Tensor,
        c30: float | Tensor,
        bulk_modulus: float | Tensor,
        *,
        volumetric: str = "quadratic",
        range: Range = (0.1, 5.0),
    ) -> None:
        super().__init__(bulk_modulus, volumetric=volumetric, range=range)
        self.c10, self.c20, self.c30 = c10, c20, c30
        warn_of_instability(self)

    def distortion_energy(self, F: Matrix3) -> Tensor:
        x = self.first_invariant(F) - 3
        return x * (self.c10 + x * (self.c20 + x * self.c30))

    @property
    def shear_modulus(self) -> Tensor:
        return 2 * self.c10
