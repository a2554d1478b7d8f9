"""Whether the residuals of a fit are noise: the runs test."""

from __future__ import annotations

import math
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

# Of fewer residuals nothing can be said; below this probability they are called structured.
LEAST_POINTS, UNLIKELY = 8, 0.01


class ResidualRuns(NamedTuple):
    """How often the residuals along a curve change their sign.

    Attributes:
        runs: stretches of residuals of one sign.
        expected: how many noise makes on average.
        probability: that noise makes so few; NaN for fewer than 8 residuals.
    """

    runs: int
    expected: float
    probability: float

    @property
    def structured(self) -> bool:
        """Whether there are fewer runs than noise makes."""
        return self.probability < UNLIKELY


def residual_runs(residuals: Float[Tensor, "n"]) -> ResidualRuns:
    """Return the runs of residuals in the order of the curve (Wald, Wolfowitz 1940).

    The number of runs is about normally distributed, with a correction by a half for whole numbers.
    """
    signs = residuals > 0
    total, above = len(signs), int(signs.sum())
    below = total - above
    runs = 1 + int((signs[1:] != signs[:-1]).sum())
    mean = 1 + 2 * above * below / total
    if not above or not below:  # By that many equal signs, the mean is that of an even chance.
        return ResidualRuns(runs, (total + 1) / 2, 2.0 ** (1 - total) if total >= LEAST_POINTS else math.nan)
    variance = (mean - 1) * (mean - 2) / (total - 1)
    if total < LEAST_POINTS or variance <= 0:
        return ResidualRuns(runs, mean, math.nan)
    score = (runs + 0.5 - mean) / math.sqrt(variance)
    return ResidualRuns(runs, mean, 0.5 * math.erfc(-score / math.sqrt(2)))
