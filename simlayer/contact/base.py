"""The interface of contacts, and what friction reads of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from jaxtyping import Float
from torch import Tensor

from simlayer.contact.continuous_collision import Passage
from simlayer.forces.base import Force, Potential
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


class ContactForce(Force, ABC):
    """A force by which a body is pressed against something that may rub: what `CoulombFriction` refers to."""

    at_end: ClassVar[bool] = True

    @abstractmethod
    def contact_state(self, positions: Float[Tensor, "*batch N 3"]) -> ContactState:
        """Return the contact at these positions, differentiable in them and in all quantities."""


class Contact(Potential, ContactForce):
    """A potential that keeps vertices at a distance from something.

    Attributes:
        activation_distance: the distance from which on it acts [m].
        areas: the part of the surface that each vertex stands for, zero inside the body [m²], `(*batch, N)`.
    """

    stiffness = Quantity("Pa", positive=True)
    activation_distance: float
    areas: Tensor

    @abstractmethod
    def distances(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N"]:
        """Return the distance of each vertex to what it may touch [m].

        Negative inside, infinite where there is no contact.
        """

    @abstractmethod
    def passage(self, start: Float[Tensor, "*batch N 3"], end: Float[Tensor, "*batch N 3"]) -> Passage | None:
        """Return which vertices go through something on straight ways, None if none does."""

    @abstractmethod
    def approach(self, state: State) -> Float[Tensor, "*batch N"]:
        """Return how fast each vertex comes nearer to what it may touch [m/s]."""

    @abstractmethod
    def stiffness_to_stop(self, energy: float) -> float:
        """Return the stiffness [Pa] that takes up an energy per area [J/m²], pressed as far as is meant."""
