"""Steps: maps from one state of a body to the next, explicit, implicit and static."""

from simlayer.steps.backward_euler import BackwardEuler
from simlayer.steps.base import Step
from simlayer.steps.bdf2 import BDF2
from simlayer.steps.equilibrium import Equilibrium
from simlayer.steps.newmark import Newmark
from simlayer.steps.point_mass import PointMass
from simlayer.steps.symplectic_euler import SymplecticEuler

__all__ = [
    "BDF2",
    "BackwardEuler",
    "Equilibrium",
    "Newmark",
    "PointMass",
    "Step",
    "SymplecticEuler",
]
