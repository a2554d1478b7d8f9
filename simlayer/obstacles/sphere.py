"""A ball."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from simlayer.functional.signed_distance import length
from simlayer.obstacles.base import Obstacle, Point
from simlayer.quantities import Quantity


class Sphere(Obstacle):
    """A ball.

    Args:
        radius: [m].
        center: [m].
    """

    radius = Quantity("m", positive=True)

    def __init__(self, radius: float | Tensor, center: Sequence[float] | Tensor = (0.0, 0.0, 0.0)) -> None:
        super().__init__(translation=center)
        self.radius = radius

    def signed_distance(self, point: Point) -> Tensor:
        return length(*point) - self.radius
