"""A viscosity that is learned: its dissipation potential is a convex neural network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from simlayer.forces.viscosity import Viscosity
from simlayer.linalg.matrix3 import Matrix3
from simlayer.materials.convex_network import ConvexNetwork, Expansion, check_hidden
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.checked_module import Option
from simlayer.quantities.quantity import Quantity, derived_quantity


class NeuralViscosity(Viscosity):
    """A viscosity that learns how it depends on the rate of strain, dissipative whatever its weights.

    With N(s, t) a network that is convex and increases in s = g(|Ė|/r) and t = zeta/eta g(tr Ė/r), where
    g(x) = sqrt(1 + x²) - 1 and r is the `characteristic_rate`, the potential per rest volume

        R = a |Ė|² + b/2 (tr Ė)² + c r² (N - N(0))

    is objective and isotropic, as a function of invariants of the Green strain's rate Ė, and convex in it, as
    an increasing convex function of convex ones. It is zero and least without a rate, so that the power that
    it takes out, ∂R/∂Ė : Ė >= R, is never negative (Halphen, Nguyen 1975, generalized standard materials). g
    is quadratic at small rates and linear at large ones: the viscosity may fall with the rate, or rise, as
    long as the stress rises.

    At small rates it is that of `KelvinVoigt`, with the same viscosities, whatever the network learns:
    c = eta / (1 + N_s/2 + N_t), with its slopes at rest, and a and b are what it leaves of both viscosities.
    `stable_dt` without a state, and dt="auto", are for small rates.

    Args:
        mesh: the body in its rest shape.
        shear_viscosity, bulk_viscosity: as for `KelvinVoigt`, at small rates [Pa s].
        characteristic_rate: r [1/s], positive, a rate of strain about which the viscosity changes.
        hidden: the number of units of each hidden layer of `network`.
        deterministic, quadrature: see `FiniteElements`.
    """

    characteristic_rate = Quantity("1/s", positive=True)
    derives_from = ("network",)
    hidden = Option(check_hidden, frozen=True)

    def __init__(
        self,
        mesh: Mesh,
        *,
        shear_viscosity: float | Tensor,
        bulk_viscosity: float | Tensor | None = None,
        characteristic_rate: float | Tensor = 1.0,
        hidden: Sequence[int] = (8, 8),
        deterministic: bool | None = None,
        quadrature: Literal["full", "reduced"] = "full",
    ) -> None:
        super().__init__(
            mesh, shear_viscosity, bulk_viscosity, deterministic=deterministic, quadrature=quadrature
        )
        self.characteristic_rate, self.hidden = characteristic_rate, hidden
        self.network = ConvexNetwork(2, 0, self.hidden)
        self.trace()

    def rate_density(self, strain_rate: Matrix3) -> Tensor:
        """Return the potential per rest volume [W/m³], convex in Ė [1/s] and zero without it."""
        shear, bulk = strain_rate.inner(strain_rate), strain_rate.trace() ** 2
        scale = self.characteristic_rate**-2
        learned = self.network((_bent(scale * shear), self.bulk_ratio * _bent(scale * bulk)))
        base = self.base_shear * shear + self.half_base_bulk * bulk
        return base + self.network_power * (learned - self.rest_value)

    # What follows from quantities and weights alone is computed once per rollout and not at every step.

    @derived_quantity
    def rest_value(self) -> Tensor:
        """The network without a rate."""
        return self._rest().value

    @derived_quantity
    def bulk_ratio(self) -> Tensor:
        """zeta / eta."""
        return self.bulk_viscosity / self.shear_viscosity

    @derived_quantity
    def network_power(self) -> Tensor:
        """The scale c r² of the network's potential [W/m³]."""
        return self.shear_viscosity * self.characteristic_rate**2 / self._total()

    @derived_quantity
    def base_shear(self) -> Tensor:
        """The shear viscosity a that the network leaves [Pa s]."""
        return self.shear_viscosity * (1 - 0.5 * self._rest().gradient[0] / self._total())

    @derived_quantity
    def half_base_bulk(self) -> Tensor:
        """Half the bulk viscosity b that the network leaves [Pa s]."""
        return 0.5 * self.bulk_viscosity * (1 - self._rest().gradient[1] / self._total())

    def _total(self) -> Tensor:
        shear, bulk = self._rest().gradient
        return 1 + 0.5 * shear + bulk

    def _rest(self) -> Expansion:
        return self.network.at_zero(torch.zeros(2).to(self.network.biases[0]))


def _bent(square: Tensor) -> Tensor:
    """Return sqrt(1 + x²) - 1 of a square x², without cancellation."""
    return square / (1 + (1 + square).sqrt())
