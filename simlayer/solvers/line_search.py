"""The line search of Newton's method, along straight lines or other paths."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simlayer.solvers.problem import MinimizationProblem, largest
from simlayer.solvers.search_directions import Point, SearchDirections

# Energies that differ by less cannot be compared: relative to a sum whose terms may be much larger.
_ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4}
# The share of an energy that the rounding of its parts may reach in a stiff body that hardly moves.
_CANCELLING = 1e-2

Path = Callable[[Tensor], Tensor]


class SearchPaths:
    """Paths from a point that begin in a direction: straight lines here, others in subclasses."""

    def along(
        self, positions: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> tuple[Path, Float[Tensor, "*batch"]]:
        """Return the map of lengths to positions, and the greatest length to take, at most 1.

        At length 0 the derivative of the map is the direction.
        """
        longest = positions.new_ones(positions.shape[:-2])
        return lambda length: positions + length[..., None, None] * direction, longest


STRAIGHT = SearchPaths()


def line_search(
    problem: MinimizationProblem,
    point: Point,
    direction: Float[Tensor, "*batch N 3"],
    directions: SearchDirections,
    paths: SearchPaths,
) -> tuple[Point, Bool[Tensor, "*batch"]]:
    """Return the next point, and in which samples it is a better one; others stay where they are.

    Args:
        problem: what is minimized.
        point: where the search is.
        direction: from there.
        directions: tells where the direction is from, and how far energy and gradient are rounded.
        paths: how positions go on in a direction of Newton's; in others they go straight.
    """
    energy, size = point.energy, largest(point.gradient)
    slope = (point.gradient * direction).sum((-1, -2))
    # An updated inverse is in use only while the search converges fast, which straight lines do, too.
    ways = paths if directions.by_hessian else STRAIGHT
    path, longest = ways.along(point.positions, direction)
    length = torch.minimum(longest, problem.feasible_fraction(point.positions, direction))
    waiting = torch.ones_like(energy, dtype=torch.bool)
    best = point
    most_rise = torch.minimum(_CANCELLING * energy.abs(), directions.energy_rounding(point))
    for _ in range(40):
        end = path(length)
        if ways is not STRAIGHT:  # On a straight line the length is feasible already.
            end = _feasible(problem, point.positions, end)
        trial = Point.at(problem, end)
        falls = trial.energy <= energy + 1e-4 * length * slope
        level = (trial.energy - energy).abs() <= _ROUNDING[energy.dtype] * energy.abs()
        # Strictly smaller, or the search would jump to and fro between two sides of a valley for ever.
        smaller = largest(trial.gradient) <= (1 - 1e-4 * length) * size
        # A sum of large terms that cancel is rounded by more than it changes; its slope at both ends is not.
        sinks = (trial.gradient * direction).sum((-1, -2)) <= (1 - 1e-4) * slope.abs()
        # No rise beyond that rounding, or the search would go round and round between points of two valleys.
        sinks = sinks & (trial.energy - energy <= most_rise)
        # Where the gradient is rounding, so are differences of energies.
        good = waiting & (falls | (smaller & (level | sinks)) | directions.at_rounding(trial))
        best = Point(*(_chosen(good, new, old) for new, old in zip(trial, best, strict=True)))
        waiting = waiting & ~good
        if not bool(waiting.any()):
            break
        length = torch.where(waiting, length / 2, length)
    return best, ~waiting


def _chosen(where: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(where[(..., *[None] * (new.ndim - where.ndim))], new, old)


def _feasible(problem: MinimizationProblem, start: Tensor, end: Tensor) -> Tensor:
    """Return the end of a move, or how far the straight line to it stays where the energy is finite."""
    fraction = problem.feasible_fraction(start, end - start)
    return torch.where(
        (fraction < 1)[..., None, None], start + fraction[..., None, None] * (end - start), end
    )
