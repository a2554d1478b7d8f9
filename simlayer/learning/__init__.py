"""Learning: networks that are trained through a rollout, on Lightning."""

from simlayer.learning.control_groups import ControlGroups
from simlayer.learning.learning_curve import LearningCurve
from simlayer.learning.network_policy import NetworkPolicy
from simlayer.learning.objectives import DistanceToGoal, Travel
from simlayer.learning.policy_training import PolicyTraining
from simlayer.learning.reachable import reachable_points

__all__ = [
    "ControlGroups",
    "DistanceToGoal",
    "LearningCurve",
    "NetworkPolicy",
    "PolicyTraining",
    "Travel",
    "reachable_points",
]
