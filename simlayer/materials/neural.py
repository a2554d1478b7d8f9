"""A hyperelastic material that is learned: its energy density is a convex neural network."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from simlayer.linalg.matrix3 import Matrix3
from simlayer.materials.base import Range
from simlayer.materials.polyconvex import PolyconvexNetworkMaterial


class NeuralHyperelastic(PolyconvexNetworkMaterial):
    """A material that learns any isotropic, polyconvex energy density, whatever its weights.

    It is a convex neural network of the invariants |F|², |cof F|² and J, objective and isotropic as a
    function of these, without energy and stress in the rest shape, see `PolyconvexNetworkMaterial`. The
    small-strain moduli are the given ones.

    Args:
        youngs_modulus, poissons_ratio: as for `IsotropicMaterial`.
        hidden: the number of units of each hidden layer of `network`.
        range: J in which 1/J holds, as in `NeoHookean`.
    """

    def __init__(
        self,
        youngs_modulus: float | Tensor,
        poissons_ratio: float | Tensor,
        *,
        hidden: Sequence[int] = (8, 8),
        range: Range = (0.1, 5.0),
    ) -> None:
        super().__init__(youngs_modulus, poissons_ratio, hidden=hidden, range=range)

    def energy_density(self, F: Matrix3) -> Tensor:
        return self.network_density(F, F.cofactor())
