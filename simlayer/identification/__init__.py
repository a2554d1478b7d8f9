"""Fitting quantities of a rollout to observations of a body, by Lightning."""

from simlayer.identification.history import History
from simlayer.identification.initial_state import InitialState
from simlayer.identification.losses import PositionLoss
from simlayer.identification.module import ParameterIdentification, Scenes, scene_loader
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.priors import SmoothnessPrior
from simlayer.identification.sensors import Markers, Vertices

__all__ = [
    "History",
    "InitialState",
    "Markers",
    "ObservedRollout",
    "ParameterIdentification",
    "PositionLoss",
    "Scenes",
    "SmoothnessPrior",
    "Vertices",
    "scene_loader",
]
