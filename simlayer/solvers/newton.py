"""Newton's method on an energy, with projection where it is needed and a line search."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simlayer.errors import ConvergenceError
from simlayer.quantities.arguments import checked_integer, checked_number
from simlayer.solvers.line_search import STRAIGHT, SearchPaths, line_search
from simlayer.solvers.linear import LinearSolver
from simlayer.solvers.problem import MinimizationProblem, Residual, largest
from simlayer.solvers.rounding import Corrections
from simlayer.solvers.search_directions import Point, SearchDirections

# Where rounding alone deforms a body by more than the first share of its size, or keeps it as a whole from
# going where it should by more than the second, there is no solution to speak of.
_BLURRED, _ADRIFT = 1e-2, 1e-3
_ENDLESS = (
    "the energy falls without end, as that of a law without a lower bound does (Yeoh's with c30 < 0), or of "
    "loads that nothing resists"
)
_STUCK = "no shorter step lowers the energy"


@dataclass(frozen=True)
class NewtonSolver:
    """Finds a minimum of an energy: search along Newton's direction, each sample by itself.

    A direction comes from the exact Hessian while that is positive, and from the one that is projected, cell
    by cell, onto semi-definite matrices where it is not (Teran, Sifakis, Irving, Fedkiw 2005). While the
    residual falls by a factor of four in each iteration, the inverse of the last Hessian is updated with the
    changes of the gradient instead (BFGS), which takes a fraction of the time. The length begins with what
    stays in the domain of the energy; it is halved until the energy falls enough (Armijo 1966), or, where
    energies differ by rounding only, until the gradient does. Equilibria, and steps of large bodies, are
    searched along paths on which cells rotate, see `RotatingPaths`. Where rounding keeps the gradient from
    the tolerance, the search ends as soon as Newton's steps get no shorter.

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
        self,
        problem: MinimizationProblem,
        start: Float[Tensor, "*batch N 3"],
        solver: LinearSolver,
        paths: SearchPaths = STRAIGHT,
    ) -> Float[Tensor, "*batch N 3"]:
        """Return a minimum near `start`; raises ConvergenceError rather than return anything less."""
        tolerance = self.tolerance or (1e-6 if start.dtype == torch.float64 else 1e-4)
        point = first = Point.at(problem, start)
        history: list[str] = []
        directions, corrections = SearchDirections(problem, solver), Corrections(start)
        polished = done = torch.zeros_like(point.energy, dtype=torch.bool)
        for iteration in range(self.max_iterations + 1):
            error = Residual(point.gradient, point.scale).error()
            history.append(_line(iteration, point.energy, error))
            _check(problem, point, first, error, history)
            small = error <= tolerance
            active = ~(done | small & polished)
            if not bool(active.any()):
                return point.positions
            if iteration == self.max_iterations:
                break
            direction = torch.where(active[..., None, None], directions.at(point, active), 0.0)
            length, rounded = largest(direction), active & directions.at_rounding(point)
            point, moved = line_search(problem, point, direction, directions, paths)
            spent = corrections.exhausted(direction, rounded, by_hessian=directions.by_hessian)
            spent = spent | rounded & ~moved
            if bool(spent.any()):
                _check_precision(problem, point, spent & ~small, length, history)
            if bool((stuck := active & ~moved & ~rounded & ~small).any()):
                singular = bool((stuck & ~length.isfinite()).any())
                why = "its tangent is singular" if singular else _STUCK
                raise _failure(problem, point, stuck, history, why)
            done = done | spent
            # One more iteration after the tolerance is met, unless numbers of this precision have no better.
            polished = small | ~moved
        if bool((active & directions.at_rounding(point)).any()):
            raise _failure(problem, point, active & directions.at_rounding(point), history, _precision(start))
        why = f"after {self.max_iterations} iterations, of which NewtonSolver(max_iterations=...) allows more"
        raise _failure(problem, point, active, history, why)


def _check(
    problem: MinimizationProblem, point: Point, first: Point, error: Tensor, history: list[str]
) -> None:
    """Raise ConvergenceError if the search went where nothing is finite, or without end."""
    if bool((broken := ~(error + point.scale + point.energy).isfinite()).any()):
        why = f"{problem.not_finite(point.positions)} is not finite"
        raise _failure(problem, point, broken, history, why)
    size, most = _size(first.positions), problem.max_displacement
    # A body is so many of its sizes away from where it started, or has lost more energy than the forces there
    # could have released on such a way: a law without a lower bound is found before anything has moved far.
    forces = first.scale + first.gradient.abs().sum((-1, -2))
    fallen = first.energy - point.energy > most**2 * (first.energy.abs() + forces * size)
    lost = (size > 0) & (fallen | (largest(point.positions - first.positions) > most * size))
    if bool(lost.any()):
        raise _failure(problem, point, lost, history, _ENDLESS)


def _check_precision(
    problem: MinimizationProblem, point: Point, ended: Tensor, length: Tensor, history: list[str]
) -> None:
    """Raise ConvergenceError if a search ended by rounding before there was a solution."""
    size = _size(point.positions)
    blurred = ended & ~((length <= _BLURRED * size) & (problem.drift(point.gradient) <= _ADRIFT * size))
    if bool(blurred.any()):
        raise _failure(problem, point, blurred, history, _precision(point.positions))


def _size(positions: Tensor) -> Tensor:
    """Return the longest side of the box around the body in each sample."""
    return (positions.amax(-2) - positions.amin(-2)).amax(-1)


def _precision(positions: Tensor) -> str:
    """Return why rounding hides a solution, and what helps."""
    farthest, size = float(positions.abs().max()), float(_size(positions).max())
    remedies = [] if positions.dtype == torch.float64 else ["convert it, rollout.double()"]
    remedies += ["put the origin into the body"] if farthest > 2 * size else []
    return (
        f"in numbers of {positions.dtype}, forces on a body of {size:.3g} m at coordinates up to "
        f"{farthest:.3g} m are rounded by more than what moves it: {', or '.join(remedies)}"
    )


def _failure(
    problem: MinimizationProblem, point: Point, wrong: Bool[Tensor, "*batch"], history: list[str], why: str
) -> ConvergenceError:
    sample = tuple(wrong.nonzero()[0].tolist()) if wrong.ndim else ()
    where = f" of sample {sample}" if sample else ""
    shown = [*history[:3], "  ...", *history[-5:]] if len(history) > 8 else history
    lines = [f"Newton's method did not converge{where}: {why}. {problem.describe(point.positions, sample)}"]
    return ConvergenceError("\n".join([*lines, *shown]), tuple(history), sample=sample)


def _line(iteration: int, energy: Tensor, error: Tensor) -> str:
    """Return the line of the history, for the sample with the largest error."""
    worst = int(error.argmax())
    energy, error = energy.flatten()[worst], error.flatten()[worst]
    return f"  iteration {iteration}: energy {float(energy):.10g} J, gradient {float(error):.2e}"
