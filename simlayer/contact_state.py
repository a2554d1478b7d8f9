"""What a contact does to the vertices of a body, for whoever acts along its surface: friction."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from jaxtyping import Float
from torch import Tensor


class ContactState(NamedTuple):
    """A contact at given positions, vertex by vertex; all zero where a vertex touches nothing.

    Attributes:
        normal_force: how strongly each vertex is pushed out [N], never negative.
        normals: unit vectors in which it is pushed, out of what it touches.
        velocities: of the surface that it touches, where it touches it [m/s].
    """

    normal_force: Float[Tensor, "*batch N"]
    normals: Float[Tensor, "*batch N 3"]
    velocities: Float[Tensor, "*batch N 3"]


class Touching(Protocol):
    """What a dissipation may ask the contact that it names: `forces[name]`."""

    def contact_state(self, positions: Float[Tensor, "*batch N 3"]) -> ContactState:
        """The contact at these positions, differentiable in them and in all quantities."""
        ...
