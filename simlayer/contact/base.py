"""What a contact is, and what it tells friction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol

from jaxtyping import Float
from torch import Tensor

from simlayer.forces.base import Potential
from simlayer.quantities.quantity import Quantity
from simlayer.state import State


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


class Contact(Potential, ABC):
    """A potential that keeps vertices at a distance from something.

    Attributes:
        activation_distance: from which on it acts [m].
        areas: the part of the surface that each vertex stands for, zero inside the body [m²].
    """

    stiffness = Quantity("Pa", positive=True)
    activation_distance: float
    areas: Tensor

    @abstractmethod
    def distances(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N"]:
        """Of each vertex to what it may touch [m], negative inside; infinite where there is no contact."""

    @abstractmethod
    def approach(self, state: State) -> Float[Tensor, "*batch N"]:
        """How fast each vertex comes nearer to what it may touch [m/s]."""

    @abstractmethod
    def contact_state(self, positions: Float[Tensor, "*batch N 3"]) -> ContactState:
        """What friction needs to know, differentiable in the positions and in all quantities."""

    @abstractmethod
    def stiffness_to_stop(self, energy: float) -> float:
        """The stiffness [Pa] that takes up an energy per area [J/m²], pressed as far as it is meant to be."""
