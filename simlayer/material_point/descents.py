"""Levenberg-Marquardt from several starts at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simlayer.errors import ConvergenceError
from simlayer.identification.descent import Descent
from simlayer.material_point.curve_problem import CurveProblem

# To within so many standard errors of the minimum, and so small a step in units of large changes.
_RULES = Descent(trust_radius=1.0, tolerance=1e-10, precision=1e-4, epsilon=torch.finfo(torch.float64).eps)

# Starts whose losses are within this share of the least one have found the same minimum.
_SAME = 0.01


class Descents(NamedTuple):
    """What descents from several starts have found.

    Attributes:
        best: the stored values of the least loss.
        losses: of all starts; infinite where the law has no stress at the start.
        converged: which of them have ended at a minimum.
        steps: how many steps were made.
    """

    best: Float[Tensor, "P"]
    losses: Float[Tensor, "S"]
    converged: Bool[Tensor, "S"]
    steps: int

    @property
    def found_best(self) -> int:
        """How many starts have found the least loss."""
        return int((self.losses <= (1 + _SAME) * self.losses.min() + 1e-300).sum())


def draw_starts(problem: CurveProblem, count: int, seed: int) -> Float[Tensor, "S P"]:
    """Return stored values to start from: the first guess, and others scattered about it.

    A logarithm or logit is normally distributed with a standard deviation of one; another value with its
    own size, or a large change if that is less: of either sign, and of another order of magnitude.
    """
    start, scales = problem.start, problem.scales
    plain = torch.tensor([not (u.quantity.positive or u.quantity.bounds) for u in problem.unknowns])
    spread = torch.where(plain, torch.maximum(start.abs(), torch.minimum(scales, 10 * start.abs())), 1.0)
    spread = torch.where(spread > 0, spread, scales)
    generator = torch.Generator().manual_seed(seed)
    scattered = torch.randn(count, len(start), generator=generator, dtype=torch.float64)
    scattered[0] = 0.0
    return start + spread * scattered


def descend(problem: CurveProblem, starts: Float[Tensor, "S P"], *, max_steps: int) -> Descents:
    """Return the minima that the Levenberg-Marquardt method finds from some stored values.

    Raises:
        ConvergenceError: if the law has no finite stress at any of them.
    """
    equations = problem.equations(starts)
    if not bool(equations.loss.isfinite().any()):
        raise ConvergenceError(
            f"{type(problem.point.material).__name__} has no finite stress at the first guess at some of the "
            "stretches of the curves: start from other values of its quantities (a law that locks: "
            "from a larger limit), and check that stretches are no strains."
        )
    place = _RULES.begin(starts / problem.scales, equations)
    place = place._replace(converged=place.converged & equations.loss.isfinite())
    stuck = ~equations.loss.isfinite()
    steps = 0
    while steps < max_steps and not bool((place.converged | stuck).all()):
        step = _RULES.step(place)
        trial = place.at + step
        place, _ = _RULES.judge(place, step, trial, problem.equations(trial * problem.scales))
        steps += 1
    losses = place.equations.loss
    best = int(torch.where(losses.isfinite(), losses, torch.inf).argmin())
    return Descents(place.at[best] * problem.scales, losses, place.converged & ~stuck, steps)
