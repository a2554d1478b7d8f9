"""A block, a step, a table."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from simlayer.functional.signed_distance import box
from simlayer.obstacles.base import Obstacle, Point
from simlayer.quantities import Quantity


class Box(Obstacle):
    """A block with sharp edges.

    Args:
        size: lengths of its sides [m].
        center: [m].
        rotation: see `Obstacle`; without, the sides are along the axes.
    """

    size = Quantity("m", over="components", positive=True)

    def __init__(
        self,
        size: Sequence[float] | Tensor,
        center: Sequence[float] | Tensor = (0.0, 0.0, 0.0),
        *,
        rotation: Sequence[float] | Tensor = (0.0, 0.0, 0.0),
    ) -> None:
        super().__init__(translation=center, rotation=rotation)
        self.size = size

    def signed_distance(self, point: Point) -> Tensor:
        return box(*point, self.size)
