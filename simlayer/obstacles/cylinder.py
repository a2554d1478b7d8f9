"""A column, a disc."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from simlayer.functional.signed_distance import cylinder
from simlayer.obstacles.base import Obstacle, Point
from simlayer.quantities import Quantity


class Cylinder(Obstacle):
    """A cylinder along z with flat ends and sharp edges.

    Args:
        radius: [m].
        height: [m].
        center: [m].
        rotation: see `Obstacle`; (pi/2, 0, 0) lays it along y.
    """

    radius = Quantity("m", positive=True)
    height = Quantity("m", positive=True)

    def __init__(
        self,
        radius: float | Tensor,
        height: float | Tensor,
        center: Sequence[float] | Tensor = (0.0, 0.0, 0.0),
        *,
        rotation: Sequence[float] | Tensor = (0.0, 0.0, 0.0),
    ) -> None:
        super().__init__(translation=center, rotation=rotation)
        self.radius, self.height = radius, height

    def signed_distance(self, point: Point) -> Tensor:
        return cylinder(*point, self.radius, self.height)
