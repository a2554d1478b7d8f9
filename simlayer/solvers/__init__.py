"""Minimization: Newton's method, linear solvers, sparse matrices in blocks.

Independent of meshes and forces.
"""

from simlayer.solvers.linear import ConjugateGradients, LinearSolver, SparseDirect
from simlayer.solvers.newton import NewtonSolver

__all__ = [
    "ConjugateGradients",
    "LinearSolver",
    "NewtonSolver",
    "SparseDirect",
]
