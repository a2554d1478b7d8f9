"""Fitting the quantities of a rollout to what was seen of a body."""

from simlayer.training.dataset import scene_loader
from simlayer.training.history import History
from simlayer.training.identification import ParameterIdentification, Scenes
from simlayer.training.initial_state import InitialState
from simlayer.training.losses import PositionLoss
from simlayer.training.observation import ObservedRollout
from simlayer.training.priors import SmoothnessPrior
from simlayer.training.recording import Recording, read_recording
from simlayer.training.registration import Registration, register
from simlayer.training.sensors import Markers, Vertices

__all__ = [
    "History",
    "InitialState",
    "Markers",
    "ObservedRollout",
    "ParameterIdentification",
    "PositionLoss",
    "Recording",
    "Registration",
    "Scenes",
    "SmoothnessPrior",
    "Vertices",
    "read_recording",
    "register",
    "scene_loader",
]
