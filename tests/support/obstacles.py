"""Obstacles as a user writes them."""

from torch import Tensor

from simlayer import Obstacle, Quantity


class Torus(Obstacle):
    """An obstacle as a user writes it: not convex, and given by its distance alone."""

    major = Quantity("m", positive=True)
    minor = Quantity("m", positive=True)

    def __init__(self, major: float, minor: float, **place) -> None:
        super().__init__(**place)
        self.major, self.minor = major, minor

    def signed_distance(self, point) -> Tensor:
        x, y, z = point
        ring = (x * x + y * y).sqrt() - self.major
        return (ring * ring + z * z).sqrt() - self.minor
