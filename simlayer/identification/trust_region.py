"""The step of a trust-region method."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def trust_region_step(
    gradient: Float[Tensor, "*batch P"],
    curvature: Float[Tensor, "*batch P P"],
    radius: float | Float[Tensor, "*batch"],
    *,
    rank_tolerance: float,
) -> Float[Tensor, "*batch P"]:
    """Return the minimizer d of g d + d H d / 2 among all steps no longer than a radius.

    It is -(H + mu)⁻¹ g with the least mu >= 0 for which it is short enough, found by Newton's method on
    1/|d| = 1/radius (Moré and Sorensen 1983; Nocedal and Wright 2006, algorithm 4.3), in the basis of H's
    eigenvectors.

    Args:
        gradient: g.
        curvature: H, symmetric, without negative eigenvalues but for rounding.
        radius: the greatest length.
        rank_tolerance: eigenvalues below this share of the largest are zero: their directions, along which
            gradient and curvature are rounding errors, get no step.
    """
    values, vectors = torch.linalg.eigh(curvature)
    seen = values > rank_tolerance * values[..., -1:].clamp(min=0)
    values = values.where(seen, math.inf)
    slopes = (vectors.mT @ gradient[..., None])[..., 0]
    shift = torch.zeros_like(slopes[..., :1])
    limit = torch.as_tensor(radius, dtype=values.dtype)[..., None]
    for _ in range(100):
        step = -slopes / (values + shift)
        length = step.norm(dim=-1, keepdim=True)
        # The equation is nearly linear and approached from below, so that the step ends just outside.
        long = length > limit * (1 + 1e-9)
        if not bool(long.any()):
            break
        change = length.square() / (step.square() / (values + shift)).sum(-1, keepdim=True)
        shift = shift + torch.where(long, change * (length / limit - 1), 0.0)
    return (vectors @ step[..., None])[..., 0]
