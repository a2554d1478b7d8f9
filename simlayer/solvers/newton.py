"""Newton's method on an energy, with projection where it is needed and a line search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simlayer.errors import ConvergenceError
from simlayer.quantities.arguments import checked_integer, checked_number
from simlayer.solvers.conjugate_gradients import Product, Solution, conjugate_gradients
from simlayer.solvers.linear import Inverse, LinearSolver
from simlayer.solvers.problem import MinimizationProblem, Residual, Tangent, flattened, largest
from simlayer.solvers.quasi_newton import InverseUpdates

# Energies that differ by less cannot be compared: relative to a sum whose terms may be much larger.
_ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4}
# Positions that Newton's step moves by less, relative to the largest, are as good as their precision allows:
# where forces are large against the residual, their rounding keeps the gradient from the tolerance.
_STILL = {torch.float64: 1e-12, torch.float32: 1e-6}
# A residual that falls by this factor in an iteration does so without another Hessian.
_FAST = 0.25
_ENDLESS, _STUCK = "the energy falls without end", "no shorter step lowers the energy"


@dataclass(frozen=True)
class NewtonSolver:
    """Finds a minimum of an energy: search along Newton's direction, each sample by itself.

    A direction comes from the exact Hessian while that is positive, and from the one that is projected, cell
    by cell, onto semi-definite matrices where it is not (Teran, Sifakis, Irving, Fedkiw 2005). The length
    begins with what stays in the domain of the energy; it is halved until the energy falls enough (Armijo
    1966), or, where energies differ by rounding only, until the gradient does.

    Attributes:
        tolerance: of the largest component of the gradient relative to the scene's own forces; by default
            1e-6, 1e-4 in single precision. After it is reached one more iteration polishes.
        max_iterations: after which ConvergenceError is raised.
    """

    tolerance: float | None = None
    max_iterations: int = 60

    def __post_init__(self) -> None:
        if self.tolerance is not None:
            object.__setattr__(
                self, "tolerance", checked_number("tolerance", self.tolerance, above=0.0, below=1.0)
            )
        object.__setattr__(
            self, "max_iterations", checked_integer("max_iterations", self.max_iterations, least=1)
        )

    def minimize(
        self, problem: MinimizationProblem, start: Float[Tensor, "*batch N 3"], solver: LinearSolver
    ) -> Float[Tensor, "*batch N 3"]:
        """Return a minimum near `start`; raises ConvergenceError rather than return anything less."""
        tolerance = self.tolerance or (1e-6 if start.dtype == torch.float64 else 1e-4)
        point = _point(problem, start)
        history: list[str] = []
        directions = _Directions(problem, solver)
        polished = still = torch.zeros(start.shape[:-2], dtype=torch.bool, device=start.device)
        for iteration in range(self.max_iterations + 1):
            error = Residual(point.gradient, point.scale).error()
            history.append(_line(iteration, point.energy, error))
            small = error <= tolerance
            active = ~(still | small & polished)
            lost = _lost(point.positions, start, problem.max_displacement)
            broken = ~(error + point.scale + point.energy).isfinite()
            if bool((lost | broken).any()):
                why = "the energy or its gradient is not finite" if bool(broken.any()) else _ENDLESS
                raise _failure(problem, point, broken if bool(broken.any()) else lost, history, why)
            if not bool(active.any()):
                return point.positions
            if iteration == self.max_iterations:
                break
            direction = torch.where(active[..., None, None], directions.at(point, active), 0.0)
            still = ~active & still | active & (
                largest(direction) <= _STILL[start.dtype] * largest(point.positions)
            )
            point, moved = _search(problem, point, direction)
            stuck = active & ~moved & ~still
            if bool((stuck & ~small).any()):
                singular = ~largest(direction).isfinite()
                why = "its tangent is singular" if bool((stuck & singular).any()) else _STUCK
                raise _failure(problem, point, stuck & ~small, history, why)
            # One more iteration after the tolerance is met, unless numbers of this precision have no better.
            polished = small | stuck
        why = f"after {self.max_iterations} iterations, of which NewtonSolver(max_iterations=...) allows more"
        raise _failure(problem, point, active, history, why)


class _Directions:
    """The directions of one search: Newton's, and between them those of an updated inverse.

    Computations are in double precision, because a single one cannot represent the step that a slender body
    needs.
    """

    def __init__(self, problem: MinimizationProblem, solver: LinearSolver) -> None:
        self.problem, self.solver = problem, solver
        self.inverse: Inverse | None = None
        self.solution: Product
        self.updated: InverseUpdates | None = None
        self.last: _Point | None = None

    def at(self, point: _Point, active: Bool[Tensor, "*batch"]) -> Tensor:
        """Return the direction at a point in each sample."""
        last, self.last = self.last, point
        right = -flattened(point.gradient).double()
        if last is not None and self.updated and _converges(last, point, active):
            move, change = point.positions - last.positions, point.gradient - last.gradient
            self.updated.update(flattened(move).double(), flattened(change).double())
            found = self.updated(right)
        else:
            found = self._newton(point, right)
        return found.view_as(point.gradient).to(point.gradient)

    def _newton(self, point: _Point, right: Tensor) -> Tensor:
        tangent = self.problem.tangent(point.positions, projected=False).double()
        found = self._solve(tangent, right)
        vectors, indefinite = found.vectors, found.indefinite
        if bool(indefinite.any()):
            tangent = self.problem.tangent(point.positions, projected=True).double()
            convex = self._solve(tangent, right, afresh=True)
            vectors = torch.where(indefinite[:, None, None], convex.vectors, vectors)
        # An inverse that is not positive is none to go on with.
        self.updated = None if bool(indefinite.any()) else InverseUpdates(self.solution)
        return vectors

    def _solve(self, tangent: Tangent, right: Tensor, *, afresh: bool = False) -> Solution:
        """Solve with an older inverse while that is good enough."""
        # As exact as the next iteration can make use of.
        tolerance, most = 1e-6, self.solver.max_iterations
        multiply = tangent.multiplication()
        if self.inverse is not None and not afresh and self.solver.patience:
            found = conjugate_gradients(
                multiply, right, self.inverse, tolerance=tolerance, max_iterations=self.solver.patience
            )
            if bool((found.residual <= 2 * tolerance).all()):
                self.solution = self._by_conjugate_gradients(multiply)
                return found
        self.inverse = self.solver.inverse(tangent.matrix)
        if self.inverse.exact and tangent.others is None:
            self.solution = self.inverse
            vectors = self.inverse(right)
            return Solution(vectors, torch.zeros_like(vectors[:, 0, 0]), ~self.inverse.positive, 0)
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


def _converges(last: _Point, point: _Point, active: Bool[Tensor, "*batch"]) -> bool:
    """Return whether the last move reduced the residual enough for the next one to need no new Hessian."""
    return bool((largest(point.gradient) <= _FAST * largest(last.gradient))[active].all())


class _Point(NamedTuple):
    """A point of the search in each sample, with the problem there."""

    positions: Tensor
    energy: Tensor
    gradient: Tensor
    scale: Tensor


def _point(problem: MinimizationProblem, positions: Tensor) -> _Point:
    value, residual = problem.evaluate(positions)
    return _Point(positions, value, *residual)


def _search(
    problem: MinimizationProblem, point: _Point, direction: Tensor
) -> tuple[_Point, Bool[Tensor, "*batch"]]:
    """Return the next point, and in which samples it is a better one."""
    energy, size = point.energy, largest(point.gradient)
    slope = (point.gradient * direction).sum((-1, -2))
    length = problem.feasible_fraction(point.positions, direction)
    waiting = torch.ones_like(energy, dtype=torch.bool)
    best = point
    for _ in range(40):
        positions = point.positions + length[..., None, None] * direction
        trial = _point(problem, positions)
        falls = trial.energy <= energy + 1e-4 * length * slope
        level = (trial.energy - energy).abs() <= _ROUNDING[energy.dtype] * energy.abs()
        # Strictly smaller, or the search would jump to and fro between two sides of a valley for ever.
        smaller = largest(trial.gradient) <= (1 - 1e-4 * length) * size
        good = waiting & (falls | (level & smaller))
        best = _Point(*(_chosen(good, new, old) for new, old in zip(trial, best, strict=True)))
        waiting = waiting & ~good
        if not bool(waiting.any()):
            break
        length = torch.where(waiting, length / 2, length)
    return best, ~waiting


def _lost(positions: Tensor, start: Tensor, max_displacement: float) -> Bool[Tensor, "*batch"]:
    """Return in which samples a body is so many of its sizes away from where it started."""
    size = (start.amax(-2) - start.amin(-2)).amax(-1)
    return (size > 0) & (largest(positions - start) > max_displacement * size)


def _failure(
    problem: MinimizationProblem, point: _Point, wrong: Bool[Tensor, "*batch"], history: list[str], why: str
) -> ConvergenceError:
    sample = tuple(wrong.nonzero()[0].tolist()) if wrong.ndim else ()
    where = f" of sample {sample}" if sample else ""
    shown = [*history[:3], "  ...", *history[-5:]] if len(history) > 8 else history
    lines = [f"Newton's method did not converge{where}: {why}. {problem.describe(point.positions[sample])}"]
    return ConvergenceError("\n".join([*lines, *shown]), tuple(history), sample=sample)


def _chosen(where: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(where[(..., *[None] * (new.ndim - where.ndim))], new, old)


def _line(iteration: int, energy: Tensor, error: Tensor) -> str:
    """Return the line of the history, for the sample with the largest error."""
    worst = int(error.argmax())
    energy, error = energy.flatten()[worst], error.flatten()[worst]
    return f"  iteration {iteration}: energy {float(energy):.10g} J, gradient {float(error):.2e}"
