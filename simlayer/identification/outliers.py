"""Residuals of which some are none of the model's: of bounded influence."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# The part of residuals that are never taken for outliers, and a multiple of their mean size: of 2.8 standard
# deviations where the model fits. Unlike a median, this changes smoothly with the parameters.
_INLIERS, _OUTLYING = 0.8, 5.0


def damp_outliers(
    residuals: Float[Tensor, "*n"], present: Bool[Tensor, "*n"], reach: float
) -> Float[Tensor, "*n"]:
    """Return r / √(1 + r²/c²) of residuals r, whose square never exceeds c² (Geman and McClure 1987).

    c is `reach`, or larger while the model is far from most residuals that are present, so that all of them
    draw it near.
    """
    near = residuals[present].abs().sort().values
    typical = near[: int(_INLIERS * len(near)) + 1].mean()
    return residuals * (1 + (residuals / torch.clamp(_OUTLYING * typical, min=reach)).square()).rsqrt()
