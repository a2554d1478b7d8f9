"""Newton's method on an energy, with projection where it is needed and a line search."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simlayer.errors import ConvergenceError
from simlayer.quantities.arguments import checked_integer, checked_number
from simlayer.solvers.linear import LinearSolver
from simlayer.solvers.problem import MinimizationProblem, Residual, largest
from simlayer.solvers.search_directions import Point, SearchDirections

# Energies that differ by less cannot be compared: relative to a sum whose terms may be much larger.
_ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4}
# The share of an energy that the rounding of its parts may reach in a stiff body that hardly moves.
_CANCELLING = 1e-2
# Positions that Newton's step moves by less, relative to the largest, are as good as their precision allows:
# where forces are large against the residual, their rounding keeps the gradient from the tolerance.
_STILL = {torch.float64: 1e-12, torch.float32: 1e-6}
_ENDLESS, _STUCK = "the energy falls without end", "no shorter step lowers the energy"


@dataclass(frozen=True)
class NewtonSolver:
    """Finds a minimum of an energy: search along Newton's direction, each sample by itself.

    A direction comes from the exact Hessian while that is positive, and from the one that is projected, cell
    by cell, onto semi-definite matrices where it is not (Teran, Sifakis, Irving, Fedkiw 2005). While the
    residual falls by a factor of four in each iteration, the inverse of the last Hessian is updated with the
    changes of the gradient instead (BFGS), which takes a fraction of the time. The length begins with what
    stays in the domain of the energy; it is halved until the energy falls enough (Armijo 1966), or, where
    energies differ by rounding only, until the gradient does.

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
        directions = SearchDirections(problem, solver)
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
            before = point
            point, moved = _search(problem, before, direction)
            rounded = _at_rounding(before, direction, point, by_hessian=directions.by_hessian)
            still = ~active & still | active & rounded
            stuck = active & ~moved & ~still
            if bool((stuck & ~small).any()):
                singular = ~largest(direction).isfinite()
                why = "its tangent is singular" if bool((stuck & singular).any()) else _STUCK
                raise _failure(problem, point, stuck & ~small, history, why)
            # One more iteration after the tolerance is met, unless numbers of this precision have no better.
            polished = small | stuck
        why = f"after {self.max_iterations} iterations, of which NewtonSolver(max_iterations=...) allows more"
        raise _failure(problem, point, active, history, why)


def _point(problem: MinimizationProblem, positions: Tensor) -> Point:
    value, residual = problem.evaluate(positions)
    return Point(positions, value, *residual)


def _search(
    problem: MinimizationProblem, point: Point, direction: Tensor
) -> tuple[Point, Bool[Tensor, "*batch"]]:
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
        # A sum of large terms that cancel is rounded by more than it changes; its slope at both ends is not.
        sinks = (trial.gradient * direction).sum((-1, -2)) <= (1 - 1e-4) * slope.abs()
        sinks = sinks & (trial.energy - energy <= _CANCELLING * energy.abs())
        good = waiting & (falls | (smaller & (level | sinks)))
        best = Point(*(_chosen(good, new, old) for new, old in zip(trial, best, strict=True)))
        waiting = waiting & ~good
        if not bool(waiting.any()):
            break
        length = torch.where(waiting, length / 2, length)
    return best, ~waiting


def _at_rounding(
    before: Point, direction: Tensor, after: Point, *, by_hessian: bool
) -> Bool[Tensor, "*batch"]:
    """Return in which samples the positions before are as good as their precision allows."""
    smallest = _STILL[direction.dtype] * largest(before.positions)
    slope = (before.gradient * direction).sum((-1, -2)).abs()
    level = slope <= _ROUNDING[direction.dtype] * before.energy.abs()
    # Where the energy is level, what Newton's step leaves of the gradient is rounding if no part of it helps.
    idle = level & (largest(after.positions - before.positions) <= smallest)
    near = largest(direction) <= smallest
    return near | idle if by_hessian else near


def _lost(positions: Tensor, start: Tensor, max_displacement: float) -> Bool[Tensor, "*batch"]:
    """Return in which samples a body is so many of its sizes away from where it started."""
    size = (start.amax(-2) - start.amin(-2)).amax(-1)
    return (size > 0) & (largest(positions - start) > max_displacement * size)


def _failure(
    problem: MinimizationProblem, point: Point, wrong: Bool[Tensor, "*batch"], history: list[str], why: str
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
