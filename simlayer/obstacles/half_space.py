"""A floor, a wall, an incline."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from simlayer.obstacles.base import Obstacle, Point
from simlayer.quantities import Quantity, derived


class HalfSpace(Obstacle):
    """Everything below a plane.

    Args:
        point: on the plane [m].
        normal: out of the half-space, of any length.
        rotation: of the normal, as for `Obstacle`.

    Raises:
        ValueError: if the normal is zero.
    """

    normal = Quantity("1", over="components")

    def __init__(
        self,
        point: Sequence[float] | Tensor = (0.0, 0.0, 0.0),
        normal: Sequence[float] | Tensor = (0.0, 0.0, 1.0),
        *,
        rotation: Sequence[float] | Tensor = (0.0, 0.0, 0.0),
    ) -> None:
        super().__init__(translation=point, rotation=rotation)
        self.normal = normal
        if not bool((self.normal != 0).any(-1).all()):
            raise ValueError(f"normal must not be zero, got {self.normal.tolist()}.")

    @derived
    def direction(self) -> Float[Tensor, "*batch 3"]:
        """The unit normal in own coordinates."""
        return self.normal / self.normal.square().sum(-1, keepdim=True).sqrt()

    def signed_distance(self, point: Point) -> Tensor:
        n = self.direction
        return n[0] * point[0] + n[1] * point[1] + n[2] * point[2]
