"""The directions in which Newton's method searches."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simlayer.solvers.conjugate_gradients import Product, Solution, conjugate_gradients
from simlayer.solvers.linear import Inverse, LinearSolver
from simlayer.solvers.problem import MinimizationProblem, Tangent, flattened, largest
from simlayer.solvers.quasi_newton import InverseUpdates
from simlayer.solvers.rounding import rounding_level

# While each iteration leaves at most this fraction of the residual, no new Hessian is computed.
_FAST = 0.25


class Point(NamedTuple):
    """A point of the search in each sample, with the problem there."""

    positions: Tensor
    energy: Tensor
    gradient: Tensor
    scale: Tensor

    @classmethod
    def at(cls, problem: MinimizationProblem, positions: Tensor) -> Point:
        """Return the point at these positions."""
        value, residual = problem.evaluate(positions)
        return cls(positions, value, *residual)


class SearchDirections:
    """The directions of one search: Newton's, and between them those of an updated inverse.

    Computations are in double precision, because single precision cannot represent the step that a slender
    body needs.

    Attributes:
        by_hessian: whether the last direction is Newton's.
        rounding: how large each component of the gradient may be by rounding, from the last Hessian.
    """

    by_hessian: bool

    def __init__(self, problem: MinimizationProblem, solver: LinearSolver) -> None:
        self.problem, self.solver = problem, solver
        self.inverse: Inverse | None = None
        self.solution: Product
        self.updated: InverseUpdates | None = None
        self.last: Point | None = None
        self.rounding: Tensor | None = None

    def at(self, point: Point, active: Bool[Tensor, "*batch"]) -> Tensor:
        """Return the direction at a point in each sample."""
        last, self.last = self.last, point
        right = -flattened(point.gradient).double()
        self.by_hessian = last is None or self.updated is None or not _converges(last, point, active)
        if last is not None and self.updated is not None and not self.by_hessian:
            # In single precision, changes of the gradient are mostly rounding in the end.
            if point.gradient.dtype == torch.float64:
                move, change = point.positions - last.positions, point.gradient - last.gradient
                self.updated.update(flattened(move), flattened(change))
            found = self.updated(right)
        else:
            found = self._newton(point, right)
        return found.view_as(point.gradient).to(point.gradient)

    def at_rounding(self, point: Point) -> Bool[Tensor, "*batch"]:
        """Return in which samples no component of the gradient is more than rounding, as far as is known."""
        if self.rounding is None:
            return torch.zeros_like(point.energy, dtype=torch.bool)
        return (point.gradient.abs() <= self.rounding).all(-1).all(-1)

    def energy_rounding(self, point: Point) -> Float[Tensor, "*batch"]:
        """Return how much an energy may differ by the rounding of positions."""
        assert self.rounding is not None
        return (self.rounding * point.positions.abs()).sum((-1, -2))

    def _newton(self, point: Point, right: Tensor) -> Tensor:
        tangent = self.problem.tangent(point.positions, projected=False).double()
        self.rounding = rounding_level(tangent, point.positions)
        found = self._solve(tangent, right)
        vectors, indefinite = found.vectors, found.indefinite
        if bool(indefinite.any()):
            tangent = self.problem.tangent(point.positions, projected=True).double()
            convex = self._solve(tangent, right, afresh=True)
            vectors = torch.where(indefinite[:, None, None], convex.vectors, vectors)
        # BFGS keeps an inverse positive, and cannot make it so.
        self.updated = None if bool(indefinite.any()) else InverseUpdates(self.solution)
        return vectors

    def _solve(self, tangent: Tangent, right: Tensor, *, afresh: bool = False) -> Solution:
        """Solve with an older inverse while that is good enough."""
        # As exact as the next iteration can make use of.
        tolerance, most = 1e-6, self.solver.max_iterations
        if self.inverse is not None and not afresh and self.solver.patience:
            multiply = tangent.multiplication()
            found = conjugate_gradients(
                multiply, right, self.inverse, tolerance=tolerance, max_iterations=self.solver.patience
            )
            if bool((found.residual <= 2 * tolerance).all()):
                self.solution = self._by_conjugate_gradients(multiply)
                return found
        self.inverse = self.solver.inverse(tangent.matrix)
        if self.inverse.exact and tangent.others is None:
            self.solution = self.inverse
            # What is found indefinite at first gets another direction.
            positive = self.inverse.positive
            vectors = self.inverse(right) if afresh or bool(positive.any()) else torch.zeros_like(right)
            return Solution(vectors, torch.zeros_like(vectors[:, 0, 0]), ~positive, 0)
        multiply = tangent.multiplication()
        self.solution = self._by_conjugate_gradients(multiply)
        return conjugate_gradients(multiply, right, self.inverse, tolerance=tolerance, max_iterations=most)

    def _by_conjugate_gradients(self, multiply: Product) -> Product:
        """Return the map of right-hand sides to solutions of a system, with the inverse that there is now."""
        inverse, most = self.inverse, self.solver.max_iterations
        assert inverse is not None

        def solve(right: Tensor) -> Tensor:
            found = conjugate_gradients(multiply, right, inverse, tolerance=1e-6, max_iterations=most)
            return found.vectors

        return solve


def _converges(last: Point, point: Point, active: Bool[Tensor, "*batch"]) -> bool:
    """Return whether the last move reduced the residual enough for the next one to need no new Hessian."""
    return bool((largest(point.gradient) <= _FAST * largest(last.gradient))[active].all())
