"""Residuals with outliers, whose influence is bounded."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# The share of residuals that are never outliers, and the multiple of their mean size that makes an outlier:
# 2.8 standard deviations where the model fits. Unlike a median, this changes smoothly with the parameters.
_INLIERS, _OUTLYING = 0.8, 5.0


def outlier_scale(
    residuals: Float[Tensor, "*n"], present: Bool[Tensor, "*n"], reach: float
) -> Float[Tensor, ""]:
    """Return the size c of residuals beyond which their influence decreases, see `damp_outliers`.

    It is `reach`, or larger while the model is far from most observations, so that all of them draw it near.
    """
    near = residuals[present].abs().sort().values
    typical = near[: int(_INLIERS * len(near)) + 1].mean()
    return torch.clamp(_OUTLYING * typical, min=reach)


def damp_outliers(residuals: Float[Tensor, "*n"], scale: Float[Tensor, ""]) -> Float[Tensor, "*n"]:
    """Return r / √(1 + r²/c²) of residuals r, whose square never exceeds c² (Geman and McClure 1987)."""
    return residuals * (1 + (residuals / scale).square()).rsqrt()


def outlier_bends(residuals: Float[Tensor, "*n"], scale: Float[Tensor, ""]) -> Float[Tensor, "*n"]:
    """Return f f'' / f'² = -3 r²/c² of the damped residuals f(r), see `Influence.bends`."""
    return -3 * (residuals / scale).square()


def outlier_weights(residuals: Float[Tensor, "*n"], scale: Float[Tensor, ""]) -> Float[Tensor, "*n"]:
    """Return f f' / r = (1 + r²/c²)⁻² of the damped f(r): with these weights, r² has the gradient of f²."""
    return (1 + (residuals / scale).square()).pow(-2)
