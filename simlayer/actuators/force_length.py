"""The force that an active fibre makes at each of its lengths."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import Quantity, derived_quantity


class ForceLength(PhysicalModule):
    """The active force-length curve of muscle, f = exp(-(l - 1)²/gamma) (Thelen 2003), and its integral.

    l is the stretch of a fibre over that at which it is strongest. Thelen ("Adjustment of muscle mechanics
    model parameters to simulate dynamic contractions in older adults") takes gamma = 0.45.

    Args:
        optimal_stretch: the stretch from the rest shape at which a fibre is strongest: one value, or one per
            cell of the muscle.
        width: gamma, as for the stretch.
    """

    optimal_stretch = Quantity("1", over="cells", positive=True)
    width = Quantity("1", over="cells", positive=True)

    def __init__(self, optimal_stretch: float | Tensor = 1.0, *, width: float | Tensor = 0.45) -> None:
        super().__init__()
        self.optimal_stretch, self.width = optimal_stretch, width

    def tension(self, stretch: Tensor) -> Tensor:
        """Return f, the tension at a stretch over that at the best one."""
        return torch.exp(-((stretch / self.optimal_stretch - 1) ** 2) / self.width)

    def work(self, stretch: Tensor) -> Tensor:
        """Return the integral of f from the rest shape to a stretch."""
        spread = self.width.sqrt()
        ends = torch.erf((stretch / self.optimal_stretch - 1) / spread) - torch.erf(
            (1 / self.optimal_stretch - 1) / spread
        )
        return 0.5 * math.sqrt(math.pi) * self.optimal_stretch * spread * ends

    @derived_quantity
    def largest_slope(self) -> Tensor:
        """The largest derivative of f by the stretch."""
        return (2 / (math.e * self.width)).sqrt() / self.optimal_stretch
