"""A rod with round ends."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from simlayer.functional.signed_distance import capsule
from simlayer.obstacles.base import Obstacle, Point
from simlayer.quantities import Quantity


class Capsule(Obstacle):
    """All points within a radius of a line along z.

    Args:
        radius: [m].
        height: of the line, the round ends not counted [m].
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
        return capsule(*point, self.radius, self.height)
