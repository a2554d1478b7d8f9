"""How a grip moves in a test, and what its load cell measures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.linalg.rotation import rotation_matrix
from simlayer.mesh.selection import vertex_indices
from simlayer.quantities.arrays import checked_directions, checked_numbers, described
from simlayer.readouts.reaction import Wrench
from simlayer.steps.base import Step


class GripMotion(ABC):
    """A rigid motion of a grip by one amount, and the part of its reaction that belongs to it."""

    amount_unit: str
    load_unit: str

    @abstractmethod
    def moved(self, positions: Float[Tensor, "K 3"], amounts: Float[Tensor, "T"]) -> Float[Tensor, "T K 3"]:
        """Return where the grip has the vertices that it holds [m]."""

    @abstractmethod
    def load(self, reaction: Wrench) -> Float[Tensor, "*batch"]:
        """Return the load that is measured, given the reaction about `about`."""

    @property
    def about(self) -> Float[Tensor, "3"]:
        """The point that torques are about [m]."""
        return torch.zeros(3)


class Pull(GripMotion):
    """A grip that is moved along an axis, and measures the force along it.

    Args:
        axis: the direction, of any length.
    """

    amount_unit, load_unit = "m", "N"

    def __init__(self, axis: Sequence[float] | Tensor) -> None:
        self.axis = _direction("axis", axis)

    def moved(self, positions: Float[Tensor, "K 3"], amounts: Float[Tensor, "T"]) -> Float[Tensor, "T K 3"]:
        return positions + amounts[:, None, None] * self.axis.to(positions)

    def load(self, reaction: Wrench) -> Float[Tensor, "*batch"]:
        return (reaction.force * self.axis.to(reaction.force)).sum(-1)


class Twist(GripMotion):
    """A grip that is turned about an axis, and measures the torque about it.

    Args:
        axis: the direction, of any length; angles are positive anticlockwise when it points at the viewer.
        about: a point on the axis [m].
    """

    amount_unit, load_unit = "rad", "N m"

    def __init__(
        self, axis: Sequence[float] | Tensor, about: Sequence[float] | Tensor = (0.0, 0.0, 0.0)
    ) -> None:
        self.axis = _direction("axis", axis)
        self._about = checked_numbers("about", about)
        if self._about.shape != (3,) or not bool(self._about.isfinite().all()):
            raise ValueError(f"about must be a point (3,), got {described(about)}.")

    @property
    def about(self) -> Float[Tensor, "3"]:
        return self._about

    def moved(self, positions: Float[Tensor, "K 3"], amounts: Float[Tensor, "T"]) -> Float[Tensor, "T K 3"]:
        turns = rotation_matrix(amounts[:, None] * self.axis.to(positions))
        origin = self._about.to(positions)
        return (positions - origin) @ turns.mT + origin

    def load(self, reaction: Wrench) -> Float[Tensor, "*batch"]:
        return (reaction.torque * self.axis.to(reaction.torque)).sum(-1)


def gripped_vertices(step: Step, grip: Tensor | str) -> Int[Tensor, "K"]:
    """Return the vertices that a moving grip holds; raises ValueError if one of them is not fixed."""
    vertices = vertex_indices(step.elements.mesh, grip, name="grip")
    loose = vertices[(step.free[vertices] > 0).any(-1)]
    if len(loose):
        raise ValueError(
            f"grip holds {len(loose)} vertices that are not fixed in all components, such as vertex "
            f"{int(loose[0])}: fix them, as by fixed=."
        )
    return vertices


def grip_path(
    step: Step, vertices: Int[Tensor, "K"], motion: GripMotion, amounts: Float[Tensor, "T"]
) -> Float[Tensor, "T N 3"]:
    """Return where a grip that has moved by these amounts has its vertices [m], and all others at rest."""
    rest = step.elements.mesh.vertices
    path = rest.repeat(len(amounts), 1, 1)
    path[:, vertices] = motion.moved(rest[vertices], amounts.to(rest))
    return path


def _direction(name: str, value: Sequence[float] | Tensor) -> Float[Tensor, "3"]:
    """Return a unit vector along one vector; raises TypeError or ValueError if it is none."""
    found = checked_directions(name, value)
    if checked_numbers(name, value).ndim != 1:
        raise ValueError(f"{name} must be one direction (3,), got {described(value)}.")
    return found[0]
