"""Learning: networks that are trained through a rollout, on Lightning."""

from simlayer.learning.control_groups import ControlGroups
from simlayer.learning.learning_curve import LearningCurve
from simlayer.learning.motion_training import MotionTraining
from simlayer.learning.network_policy import NetworkPolicy
from simlayer.learning.objectives import DistanceToGoal, Travel
from simlayer.learning.policy_training import PolicyTraining
from simlayer.learning.reachable import reachable_points
from simlayer.learning.signal_training import SignalTraining
from simlayer.learning.thickness_profile import ThicknessProfile

__all__ = [
    "ControlGroups",
    "DistanceToGoal",
    "LearningCurve",
    "MotionTraining",
    "NetworkPolicy",
    "PolicyTraining",
    "SignalTraining",
    "ThicknessProfile",
    "Travel",
    "reachable_points",
]
