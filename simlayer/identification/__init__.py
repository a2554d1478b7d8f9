"""Identification: fitting quantities of a rollout to observations of a body, on Lightning."""

from simlayer.identification.amortized import AmortizedIdentification
from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.gradient_health import GradientHealth
from simlayer.identification.history import History
from simlayer.identification.horizon_curriculum import HorizonCurriculum
from simlayer.identification.identified import Identified
from simlayer.identification.identified_specimens import IdentifiedSpecimens
from simlayer.identification.identify import IdentificationProblem, identify
from simlayer.identification.identify_by_shooting import identify_by_shooting
from simlayer.identification.identify_specimens import identify_specimens
from simlayer.identification.initial_state import InitialState
from simlayer.identification.losses import LeastSquaresLoss, PositionLoss
from simlayer.identification.module import ParameterIdentification
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.predicted_specimens import PredictedSpecimens
from simlayer.identification.priors import SmoothnessPrior
from simlayer.identification.record_encoder import RecordEncoder
from simlayer.identification.scan_loss import ScanLoss
from simlayer.identification.scenes import ObservedScenes, scene_loader
from simlayer.identification.sensors import Markers, Vertices
from simlayer.identification.takes import ObservedTakes

__all__ = [
    "AmortizedIdentification",
    "GaussNewton",
    "GradientHealth",
    "History",
    "HorizonCurriculum",
    "IdentificationProblem",
    "Identified",
    "IdentifiedSpecimens",
    "InitialState",
    "LeastSquaresLoss",
    "Markers",
    "ObservedRollout",
    "ObservedScenes",
    "ObservedTakes",
    "ParameterIdentification",
    "PositionLoss",
    "PredictedSpecimens",
    "RecordEncoder",
    "ScanLoss",
    "SmoothnessPrior",
    "Vertices",
    "identify",
    "identify_by_shooting",
    "identify_specimens",
    "scene_loader",
]
