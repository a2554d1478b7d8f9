"""Many steps as one differentiable module.

README.md in this folder follows one call from `RolloutModule.forward` to its gradients.
"""

from simlayer.rollout.adjoints import GradientNorms, adjoint_norms
from simlayer.rollout.bodies import Bodies, Body, collate_bodies
from simlayer.rollout.central_differences import GradientCheck, GradientReport
from simlayer.rollout.controls import motion_controls, obstacle_controls
from simlayer.rollout.gradient_check import check_gradients
from simlayer.rollout.interpolation import interpolated_controls
from simlayer.rollout.parameter_jacobian import parameter_jacobian
from simlayer.rollout.policy import Policy, RecurrentPolicy
from simlayer.rollout.rollout import RolloutModule

__all__ = [
    "Bodies",
    "Body",
    "GradientCheck",
    "GradientNorms",
    "GradientReport",
    "Policy",
    "RecurrentPolicy",
    "RolloutModule",
    "adjoint_norms",
    "check_gradients",
    "collate_bodies",
    "interpolated_controls",
    "motion_controls",
    "obstacle_controls",
    "parameter_jacobian",
]
