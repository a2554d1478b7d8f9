"""A learned hyperelastic material that is reinforced by fibres."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.linalg.matrix3 import Matrix3, dot
from simlayer.materials.base import Range
from simlayer.materials.polyconvex import PolyconvexNetworkMaterial
from simlayer.quantities.arrays import checked_directions
from simlayer.quantities.quantity import derived_quantity


class NeuralFibreReinforced(PolyconvexNetworkMaterial):
    """A material that learns how fibres stiffen it when they are stretched, whatever its weights.

    To the invariants of `NeuralHyperelastic` the network adds f(|F a|² - 1) and f(|cof F a|² - 1), in which
    it increases: a is the direction of the fibres at rest, the first the square of their stretch, the second
    that of the stretch of areas across them, both polyconvex (Schröder, Neff 2003, "Invariant formulation of
    hyperelastic transverse isotropy based on polyconvex free energy functions"). f(x) = x³ / (1 + x) for x >
    0 and zero below is convex, does not decrease, and has two continuous derivatives: the energy stays
    polyconvex, and the rest shape free of stress. Fibres that get shorter do nothing, as if they buckled, and
    the small-strain moduli are those of `youngs_modulus` and `poissons_ratio`, along and across the fibres.

    Args:
        youngs_modulus, poissons_ratio: as for `IsotropicMaterial`.
        fibres: a, of any length: one for all, `(3,)`, or one per cell or region, `(M, 3)`.
        hidden: the number of units of each hidden layer of `network`.
        range: J in which 1/J holds, as in `NeoHookean`.

    Raises:
        ValueError: if a fibre has no direction.
    """

    fibres: Tensor

    def __init__(
        self,
        youngs_modulus: float | Tensor,
        poissons_ratio: float | Tensor,
        fibres: Sequence[float] | Float[Tensor, "*cells 3"],
        *,
        hidden: Sequence[int] = (8, 8),
        range: Range = (0.1, 5.0),
    ) -> None:
        super().__init__(youngs_modulus, poissons_ratio, hidden=hidden, range=range, added=2)
        directions = checked_directions("fibres", fibres).to(torch.get_default_dtype())
        self.register_buffer("fibres", directions, persistent=False)

    def set_extents(self, **extents: int) -> None:
        super().set_extents(**extents)
        count = self.extents.get("cells")
        if count is not None and len(self.fibres) not in (1, count):
            raise ValueError(
                f"fibres must be one direction (3,) or one per cell or region ({count}, 3), got shape "
                f"{tuple(self.fibres.shape)}."
            )

    def energy_density(self, F: Matrix3) -> Tensor:
        cofactor, fibre = F.cofactor(), (self.fibre_x, self.fibre_y, self.fibre_z)
        added = (_stiffening(_square_along(A, fibre) - 1) for A in (F, cofactor))
        return self.network_density(F, cofactor, *added)

    # Values over cells, as a traced energy reads them.

    @derived_quantity
    def fibre_x(self) -> Tensor:
        """The first component of a."""
        return self.fibres[:, 0]

    @derived_quantity
    def fibre_y(self) -> Tensor:
        """The second component of a."""
        return self.fibres[:, 1]

    @derived_quantity
    def fibre_z(self) -> Tensor:
        """The third component of a."""
        return self.fibres[:, 2]


def _square_along(A: Matrix3, vector: tuple[Tensor, ...]) -> Tensor:
    """Return |A v|²."""
    along = tuple(dot(A.row(i), vector) for i in range(3))
    return dot(along, along)


def _stiffening(x: Tensor) -> Tensor:
    """Return x³ / (1 + x) of positive numbers, and zero of others."""
    positive = x.clamp(min=0)
    return positive**3 / (1 + positive)
