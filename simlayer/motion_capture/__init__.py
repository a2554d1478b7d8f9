"""Recordings of motion capture: read from files, and registered to a body."""

from simlayer.motion_capture.recording import Recording, read_recording
from simlayer.motion_capture.registration import Registration, register

__all__ = [
    "Recording",
    "Registration",
    "read_recording",
    "register",
]
