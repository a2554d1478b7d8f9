"""Derivatives as plain graphs of operators, and derivatives of solutions.

An energy is traced once; its gradient, Hessian and products with them then run eagerly, checkpointed, in
forward mode and compiled. README.md in this folder explains how.
"""

from simlayer.autodiff.implicit_function import ImplicitFunction
from simlayer.autodiff.pointwise import PointwiseEnergy
from simlayer.autodiff.taylor_extension import extended
from simlayer.autodiff.tracing import trace

__all__ = [
    "ImplicitFunction",
    "PointwiseEnergy",
    "extended",
    "trace",
]
