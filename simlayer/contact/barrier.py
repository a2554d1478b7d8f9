"""Barriers: energies that are zero from a distance on, and infinite at contact."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor

from simlayer.autodiff.pointwise import PointwiseEnergy
from simlayer.autodiff.taylor_extension import extended

# Below this gap the curves can be continued by a parabola.
EXTENDED_BELOW = 0.1


def linear(gap: Tensor) -> Tensor:
    """B(s) = -(1 - s)² ln s of a gap s = d/d̂: zero from s = 1 on, NaN below 0, twice differentiable."""
    # Clamping before the logarithm keeps its derivatives finite far away; they are multiplied by zero there.
    s = gap.clamp(max=1.0)
    return -((1 - s) ** 2) * s.log()


def squared(gap: Tensor) -> Tensor:
    """B(s) = -(1 - s²)² ln s² of a gap s = d/d̂, as in Li et al. 2020, "Incremental Potential Contact"."""
    # Not the logarithm of the square, which would be finite on the wrong side.
    s = gap.clamp(max=1.0)
    return -2 * (1 - s * s) ** 2 * s.log()


CURVES: dict[str, Callable[[Tensor], Tensor]] = {"linear": linear, "squared": squared}


def traced_barrier(curve: str, *, extended: bool = False) -> PointwiseEnergy:
    """Return the barrier B with its derivatives, as a function of the gap.

    Args:
        curve: "linear" or "squared".
        extended: continue it below `EXTENDED_BELOW` by its second-order Taylor polynomial, finite everywhere.

    Raises:
        ValueError: if there is no such curve.
    """
    if curve not in CURVES:
        raise ValueError(f"curve must be one of {', '.join(map(repr, CURVES))}, got {curve!r}.")
    return _traced(curve, extended, torch.get_default_dtype())


@cache
def _traced(curve: str, is_extended: bool, dtype: torch.dtype) -> PointwiseEnergy:
    interval = (EXTENDED_BELOW, math.inf) if is_extended else None
    function = partial(extended, CURVES[curve], interval=interval)
    return PointwiseEnergy(lambda _, gap: function(*gap), [], [torch.tensor(0.3, dtype=dtype)])
