"""Recordings of motion capture: read from files, and registered to a body."""

from simlayer.motion_capture.reading import read_recording
from simlayer.motion_capture.recording import Recording
from simlayer.motion_capture.registration import Registration, register

__all__ = ["Recording", "Registration", "read_recording", "register"]
