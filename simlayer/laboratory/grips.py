"""How a grip moves in a test, and what its load cell measures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
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


def grip_path(
    step: Step, grips: Sequence[tuple[Tensor | str, GripMotion]], amounts: Float[Tensor, "T"]
) -> Float[Tensor, "T N 3"]:
    """Return where grips that have moved by these amounts have their vertices [m], and all others at rest.

    Where two grips meet, both move.

    Args:
        step: the specimen.
        grips: the vertices that each holds, and its motion.
        amounts: of all of them, the first zero.

    Raises:
        ValueError: if a grip holds a vertex that is free in a component in which it moves, or in all.
    """
    rest = step.elements.mesh.vertices
    path, held = rest.repeat(len(amounts), 1, 1), torch.zeros(len(rest), dtype=torch.bool)
    for grip, motion in grips:
        vertices = vertex_indices(step.elements.mesh, grip, name="grip")
        path[:, vertices] += motion.moved(rest[vertices], amounts.to(rest)) - rest[vertices]
        held[vertices] = True
    free = step.free > 0
    loose = ((path != path[0]).any(0) & free).any(-1) | (held & free.all(-1))
    if bool(loose.any()):
        raise ValueError(
            f"grips hold {int(loose.sum())} vertices that are not fixed in a component in which they move, "
            f"such as vertex {int(loose.nonzero()[0])}: fix them, as by fixed=."
        )
    return path


def _direction(name: str, value: Sequence[float] | Tensor) -> Float[Tensor, "3"]:
    """Return a unit vector along one vector; raises TypeError or ValueError if it is none."""
    found = checked_directions(name, value)
    if checked_numbers(name, value).ndim != 1:
        raise ValueError(f"{name} must be one direction (3,), got {described(value)}.")
    return found[0]
