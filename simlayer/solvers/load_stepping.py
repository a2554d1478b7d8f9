"""Minimization in load steps, where Newton's method fails at once."""

from __future__ import annotations

import logging

from jaxtyping import Float
from torch import Tensor

from simlayer.errors import ConvergenceError
from simlayer.solvers.line_search import STRAIGHT, SearchPaths
from simlayer.solvers.linear import LinearSolver
from simlayer.solvers.newton import NewtonSolver
from simlayer.solvers.problem import MinimizationProblem, Residual, Tangent

_log = logging.getLogger(__name__)

_SHORTEST = 1 / 256
# The most Hessians of all load steps together, as a multiple of the most iterations of one search.
_MOST = 2


class ReducedLoad(MinimizationProblem):
    """A problem with dead loads against a share of the forces at a start; against all, it is in balance.

    Where the start would be at rest without loads, the other share of the loads is left, whatever kind they
    are of; of fixed components that were moved, that of the forces which they cause.
    """

    def __init__(
        self, problem: MinimizationProblem, start: Float[Tensor, "*batch N 3"], gradient: Tensor, share: float
    ) -> None:
        self.problem, self.start, self.loads = problem, start, share * gradient
        self.max_displacement = problem.max_displacement
        self.hessians = 0

    def value(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        return self.evaluate(positions)[0]

    def residual(self, positions: Float[Tensor, "*batch N 3"]) -> Residual:
        return self.evaluate(positions)[1]

    def evaluate(self, positions: Float[Tensor, "*batch N 3"]) -> tuple[Float[Tensor, "*batch"], Residual]:
        value, residual = self.problem.evaluate(positions)
        work = (self.loads * (positions - self.start)).sum((-1, -2))
        return value - work, residual._replace(gradient=residual.gradient - self.loads)

    def tangent(self, positions: Float[Tensor, "*batch N 3"], *, projected: bool) -> Tangent:
        self.hessians += 1
        return self.problem.tangent(positions, projected=projected)

    def feasible_fraction(
        self, positions: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch"]:
        return self.problem.feasible_fraction(positions, direction)

    def not_finite(self, positions: Float[Tensor, "*batch N 3"]) -> str:
        return self.problem.not_finite(positions)

    def describe(self, positions: Float[Tensor, "*batch N 3"], sample: tuple[int, ...]) -> str:
        return self.problem.describe(positions, sample)


def minimize_by_load_steps(
    newton: NewtonSolver,
    problem: MinimizationProblem,
    start: Float[Tensor, "*batch N 3"],
    solver: LinearSolver,
    paths: SearchPaths = STRAIGHT,
) -> Float[Tensor, "*batch N 3"]:
    """Return a minimum near the start, at once where that works, else in load steps as long as they can be.

    Raises:
        ConvergenceError: if a load step fails that is a 256th of the loads, or after which all together have
            taken twice as many Hessians as one search may take iterations.
    """
    try:
        return newton.minimize(problem, start, solver, paths)
    except ConvergenceError as error:
        direct = error
    gradient = problem.residual(start).gradient
    if not bool(gradient.isfinite().all()):
        raise direct
    positions, reached, step, hessians = start, 0.0, 0.5, 0
    while reached < 1:
        goal = min(reached + step, 1.0)
        partly = ReducedLoad(problem, start, gradient, 1 - goal)
        try:
            positions = newton.minimize(partly, positions, solver, paths)
        except ConvergenceError as error:
            step /= 2
            hessians += partly.hessians
            if step < _SHORTEST or hessians > _MOST * newton.max_iterations:
                raise ConvergenceError(
                    f"{direct}\nIn load steps it went to {reached:.1%} of the loads, and no further "
                    f"with {hessians} Hessians.",
                    (*direct.history, *error.history),
                    sample=error.sample,
                ) from error
            continue
        _log.info("%.1f %% of the loads", 100 * goal)
        reached, step, hessians = goal, 2 * step, hessians + partly.hessians
    return positions
