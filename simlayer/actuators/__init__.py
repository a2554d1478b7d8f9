"""Actuators: forces that a controller drives, through muscles, cables, pressures and springs."""

from simlayer.actuators.cable import Cable, CableServo
from simlayer.actuators.cavity_pressure import CavityPressure
from simlayer.actuators.force_length import ForceLength
from simlayer.actuators.muscle import Muscle
from simlayer.actuators.position_servo import PositionServo
from simlayer.actuators.spring import Spring

__all__ = ["Cable", "CableServo", "CavityPressure", "ForceLength", "Muscle", "PositionServo", "Spring"]
