"""Quadratic continuation of a function beyond an interval."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def extended(function: Callable[[Tensor], Tensor], x: Tensor, interval: tuple[float, float] | None) -> Tensor:
    """Return `function(x)` inside the interval, its quadratic Taylor polynomial at the nearer end outside.

    Value, slope and curvature are continuous. The function is only ever evaluated inside the interval, so
    that a logarithm or a negative power stays finite. Without an interval, it is the function everywhere.
    """
    if interval is None:
        return function(x)

    def slope(y: Tensor) -> Tensor:
        return torch.func.grad(lambda z: function(z).sum())(y)

    def curvature(y: Tensor) -> Tensor:
        return torch.func.grad(lambda z: slope(z).sum())(y)

    # One end at a time: the derivative of a clamp to both works in place, which no graph that is to be
    # simplified may do.
    inside = x.clamp(min=interval[0]).clamp(max=interval[1])
    beyond = x - inside
    return function(inside) + beyond * (slope(inside) + 0.5 * beyond * curvature(inside))
