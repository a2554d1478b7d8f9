"""Contact of a body with obstacles: the interface, barriers, friction, and shapes of obstacles."""

from simlayer.contact.barrier_contact import BarrierContact
from simlayer.contact.base import Contact, ContactForce, ContactState
from simlayer.contact.friction import CoulombFriction
from simlayer.contact.obstacle import Obstacle
from simlayer.contact.shapes import Box, Capsule, Cylinder, HalfSpace, Sphere

__all__ = [
    "BarrierContact",
    "Box",
    "Capsule",
    "Contact",
    "ContactForce",
    "ContactState",
    "CoulombFriction",
    "Cylinder",
    "HalfSpace",
    "Obstacle",
    "Sphere",
]
