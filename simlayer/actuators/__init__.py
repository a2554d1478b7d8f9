"""Actuators: forces that a controller drives, through muscles, cables, pressures and springs."""

from simlayer.actuators.cavity_pressure import CavityPressure
from simlayer.actuators.force_length import ForceLength
from simlayer.actuators.muscle import Muscle

__all__ = ["CavityPressure", "ForceLength", "Muscle"]
