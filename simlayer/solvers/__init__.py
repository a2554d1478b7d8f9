"""Solving for a minimum: Newton's method, linear solvers, sparse matrices in blocks; knows no body."""

from simlayer.solvers.linear import ConjugateGradients, LinearSolver, SparseDirect
from simlayer.solvers.newton import NewtonSolver

__all__ = [
    "ConjugateGradients",
    "LinearSolver",
    "NewtonSolver",
    "SparseDirect",
]
