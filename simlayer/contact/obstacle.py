"""The interface of obstacles: a signed distance, a place and a velocity."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.linalg.rotation import rotation_matrix
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import Quantity, derived_quantity

Point = tuple[Tensor, Tensor, Tensor]


class Obstacle(PhysicalModule, ABC):
    """A rigid solid with a place in space, given by its signed distance.

    A new obstacle is a class with its quantities and `signed_distance(point)`, written with elementwise
    operations on the three coordinates of a point; normals and curvatures are traced from it. Quantities over
    components read as three numbers there. Choices are made by `torch.where`: traced derivatives of
    `torch.maximum` and `torch.clamp` with two ends work in place, which fails on batches.

    The place of an obstacle and its velocity are separate quantities: controls that move an obstacle supply
    both, as `obstacle_controls` does. Contact reads the place; friction reads the velocity.

    Args:
        translation: the place of the origin of the obstacle's own coordinates [m].
        rotation: the rotation of these coordinates about that point, a vector along the axis [rad].
    """

    translation = Quantity("m", over="components")
    rotation = Quantity("rad", over="components")
    velocity = Quantity("m/s", over="components")
    angular_velocity = Quantity("rad/s", over="components")

    def __init__(
        self,
        *,
        translation: Sequence[float] | Tensor = (0.0, 0.0, 0.0),
        rotation: Sequence[float] | Tensor = (0.0, 0.0, 0.0),
    ) -> None:
        super().__init__()
        self.translation, self.rotation = translation, rotation
        self.velocity = self.angular_velocity = (0.0, 0.0, 0.0)

    @abstractmethod
    def signed_distance(self, point: Point) -> Tensor:
        """Return the distance [m] of a point in own coordinates, negative inside, of slope one."""

    @property
    def width(self) -> float:
        """The second smallest of its extents [m], least of all samples: it passes wider gaps, lengthwise.

        Infinite by default, where it is not known.
        """
        return math.inf

    @derived_quantity
    def turn(self) -> Float[Tensor, "*batch 9"]:
        """The matrix of the rotation, row by row."""
        return rotation_matrix(self.rotation).flatten(-2)

    def distance_from(self, point: Point) -> Tensor:
        """Return the distance [m] of a point in space, called while quantities read as numbers."""
        x, y, z = (a - b for a, b in zip(point, self.translation, strict=True))
        R = self.turn
        # Back into own coordinates: the transpose turns them.
        own = [R[i] * x + R[3 + i] * y + R[6 + i] * z for i in range(3)]
        return self.signed_distance((own[0], own[1], own[2]))

    def own_coordinates(self, points: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        """Return points in space in the obstacle's own coordinates."""
        return (points - self.translation[..., None, :]) @ self.turn.unflatten(-1, (3, 3))

    def in_space(self, points: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        """Return points of the obstacle's own coordinates in space."""
        return points @ self.turn.unflatten(-1, (3, 3)).mT + self.translation[..., None, :]

    def surface_velocities(self, points: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        """Return the velocities that the obstacle has at these points [m/s]."""
        arms = points - self.translation[..., None, :]
        turning = torch.linalg.cross(self.angular_velocity[..., None, :].expand_as(arms), arms)
        return self.velocity[..., None, :] + turning
