"""Obstacles of simple shapes."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from simlayer.contact.obstacle import Obstacle, Point
from simlayer.contact.signed_distance import box, capsule, cylinder, length
from simlayer.quantities.quantity import Quantity, derived_quantity


class HalfSpace(Obstacle):
    """A half-space, bounded by a plane.

    Args:
        point: a point of the plane [m].
        normal: a vector out of the half-space, of any length.
        rotation: the rotation of the normal, see `Obstacle`.

    Raises:
        ValueError: if the normal is zero.
    """

    normal = Quantity("1", over="components", nonzero=True)

    def __init__(
        self,
        point: Sequence[float] | Tensor = (0.0, 0.0, 0.0),
        normal: Sequence[float] | Tensor = (0.0, 0.0, 1.0),
        *,
        rotation: Sequence[float] | Tensor = (0.0, 0.0, 0.0),
    ) -> None:
        super().__init__(translation=point, rotation=rotation)
        self.normal = normal

    @derived_quantity
    def direction(self) -> Float[Tensor, "*batch 3"]:
        """The unit normal in own coordinates."""
        return self.normal / self.normal.square().sum(-1, keepdim=True).sqrt()

    def signed_distance(self, point: Point) -> Tensor:
        n = self.direction
        return n[0] * point[0] + n[1] * point[1] + n[2] * point[2]


class Sphere(Obstacle):
    """A ball.

    Args:
        radius: the radius [m].
        center: its center [m].
    """

    radius = Quantity("m", positive=True)

    def __init__(self, radius: float | Tensor, center: Sequence[float] | Tensor = (0.0, 0.0, 0.0)) -> None:
        super().__init__(translation=center)
        self.radius = radius

    @property
    def width(self) -> float:
        return 2 * float(self.radius.detach().min())

    def signed_distance(self, point: Point) -> Tensor:
        return length(*point) - self.radius


class Box(Obstacle):
    """A block with sharp edges.

    Args:
        size: the lengths of its sides [m].
        center: its center [m].
        rotation: see `Obstacle`; without one, the sides are along the axes.
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

    @property
    def width(self) -> float:
        return float(self.size.detach().sort(-1).values[..., 1].min())

    def signed_distance(self, point: Point) -> Tensor:
        return box(*point, self.size)


class _AroundZ(Obstacle):
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

    @property
    def width(self) -> float:
        # Two of its extents, whatever the third, its height.
        return 2 * float(self.radius.detach().min())


class Capsule(_AroundZ):
    """All points within a radius of a line along z.

    Args:
        radius: the radius [m].
        height: the length of the line, without the round ends [m].
        center: its center [m].
        rotation: see `Obstacle`; (pi/2, 0, 0) lays it along y.
    """

    def signed_distance(self, point: Point) -> Tensor:
        return capsule(*point, self.radius, self.height)


class Cylinder(_AroundZ):
    """A cylinder along z with flat ends and sharp edges.

    Args:
        radius: the radius [m].
        height: the distance between the flat ends [m].
        center: its center [m].
        rotation: see `Obstacle`; (pi/2, 0, 0) lays it along y.
    """

    def signed_distance(self, point: Point) -> Tensor:
        return cylinder(*point, self.radius, self.height)
