"""Solving for a minimum: Newton's method, linear solvers, sparse matrices in blocks; knows no body."""

from simlayer.solvers.linear import BlockJacobi, LinearSolver, SparseDirect
from simlayer.solvers.newton import Newton

__all__ = [
    "BlockJacobi",
    "LinearSolver",
    "Newton",
    "SparseDirect",
]
