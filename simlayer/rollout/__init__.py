"""Many steps as one differentiable module.

README.md in this folder follows one call from `RolloutModule.forward` to its gradients.
"""

from simlayer.rollout.bodies import Bodies, Body, collate_bodies
from simlayer.rollout.central_differences import GradientCheck, GradientReport
from simlayer.rollout.controls import motion_controls, obstacle_controls
from simlayer.rollout.gradient_check import check_gradients
from simlayer.rollout.parameter_jacobian import parameter_jacobian
from simlayer.rollout.policy import Policy, RecurrentPolicy
from simlayer.rollout.rollout import RolloutModule

__all__ = [
    "Bodies",
    "Body",
    "GradientCheck",
    "GradientReport",
    "Policy",
    "RecurrentPolicy",
    "RolloutModule",
    "check_gradients",
    "collate_bodies",
    "motion_controls",
    "obstacle_controls",
    "parameter_jacobian",
]
