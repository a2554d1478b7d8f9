"""Identification: fitting quantities of a rollout to observations of a body, on Lightning."""

from simlayer.identification.history import History
from simlayer.identification.initial_state import InitialState
from simlayer.identification.losses import PositionLoss
from simlayer.identification.module import ObservedScenes, ParameterIdentification, scene_loader
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.priors import SmoothnessPrior
from simlayer.identification.sensors import Markers, Vertices

__all__ = [
    "History",
    "InitialState",
    "Markers",
    "ObservedRollout",
    "ObservedScenes",
    "ParameterIdentification",
    "PositionLoss",
    "SmoothnessPrior",
    "Vertices",
    "scene_loader",
]
