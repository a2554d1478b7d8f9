"""Smooth Coulomb friction: its magnitude, its dissipation potential, and its exact implicit update.

Friction of the size limit * f1(speed) acts against the sliding velocity. Below a threshold speed f1 rises
smoothly from 0 to 1 (Li et al. 2020, Incremental Potential Contact), so that what should stick creeps.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# The speed is bounded from below by this fraction of the threshold, which keeps 0/0 out of all derivatives.
# It shifts a speed of s thresholds by a fraction of 1e-12 / (2 s²), and friction by that times less than s.
_NEGLIGIBLE = 1e-6


def friction_ratio(speed: Float[Tensor, "*v"], threshold: float) -> Float[Tensor, "*v"]:
    """Return f1, friction relative to its largest value: y (2 - y) at y < 1 thresholds, 1 beyond."""
    y = speed / threshold
    return y * _secant(y.clamp(min=_NEGLIGIBLE))


def friction_potential(speed: Float[Tensor, "*v"], threshold: float) -> Float[Tensor, "*v"]:
    """Return f0 [m/s], the integral of `friction_ratio`: speed - threshold/3 beyond the threshold."""
    slow = (speed / threshold).clamp(max=1.0)
    return speed + threshold * (slow * slow * (1 - slow / 3) - slow)


def dissipation_potential(
    sliding: Float[Tensor, "*v 3"], limit: Float[Tensor, "*#v"], threshold: float
) -> Float[Tensor, "*v"]:
    """Return the convex potential whose negative gradient by the sliding velocity is friction [W].

    Args:
        sliding: tangential velocity relative to the obstacle [m/s].
        limit: the largest possible friction, mu N [N].
        threshold: the speed from which on friction has that size [m/s].
    """
    return limit * friction_potential(threshold * _thresholds(sliding / threshold)[..., 0], threshold)


def dissipation_gradient(
    sliding: Float[Tensor, "*v 3"], limit: Float[Tensor, "*#v"], threshold: float
) -> Float[Tensor, "*v 3"]:
    """Return the gradient of the dissipation potential [N], for arguments as in `dissipation_potential`."""
    y = _thresholds(sliding / threshold)
    return limit[..., None] / threshold * _secant(y) * sliding


def dissipation_hessian(
    sliding: Float[Tensor, "*v 3"],
    normals: Float[Tensor, "*#v 3"],
    limit: Float[Tensor, "*#v"],
    threshold: float,
) -> Float[Tensor, "*v 3 3"]:
    """Return the second derivative of the potential by the velocity before its projection [N s/m]."""
    scaled = sliding / threshold
    y = _thresholds(scaled)
    slope = torch.where(y < 1, -1 / y, -1 / y**3)
    identity = torch.eye(3, dtype=sliding.dtype, device=sliding.device)
    plane = identity - normals[..., :, None] * normals[..., None, :]
    bent = slope[..., None] * scaled[..., :, None] * scaled[..., None, :]
    return limit[..., None, None] / threshold * (_secant(y)[..., None] * plane + bent)


def friction_retention(
    sliding: Float[Tensor, "*v 3"], most_lost: Float[Tensor, "*#v"], threshold: float
) -> Float[Tensor, "*v"]:
    """Return the fraction of a sliding velocity that friction leaves after one step of backward Euler.

    In closed form: v = v0 - most_lost * f1(|v|) v/|v| has one solution along v0, a quadratic equation below
    the threshold. The fraction is between 0 and 1, whatever the step.

    Args:
        sliding: v0, tangential velocity relative to the obstacle that there would be without friction [m/s].
        most_lost: the speed that friction takes where it is largest, dt mu N / m [m/s].
        threshold: the speed from which on friction is largest [m/s].
    """
    a = most_lost / threshold
    y = _thresholds(sliding / threshold)[..., 0]
    slips = y >= 1 + a
    # Each formula sees numbers of its own range only, so that the branch not taken has finite derivatives.
    y = y.expand(slips.shape)
    slipping, sticking = torch.where(slips, y, 1 + a), torch.where(slips, 1 + a, y)
    # The discriminant (1 + 2 a)² - 4 a y, without its cancellation.
    root = (1 + 4 * a * (1 + a - sticking)).sqrt()
    return torch.where(slips, 1 - a / slipping, 2 / (1 + 2 * a + root))


def tangential(vectors: Float[Tensor, "*v 3"], normals: Float[Tensor, "*#v 3"]) -> Float[Tensor, "*v 3"]:
    """Return vectors without their normal parts."""
    # By projection and not with two tangents, which would have to turn suddenly somewhere on a sphere.
    return vectors - (vectors * normals).sum(-1, keepdim=True) * normals


def _thresholds(scaled: Float[Tensor, "*v 3"]) -> Float[Tensor, "*v 1"]:
    """Return the length of velocities that are given in thresholds, never zero."""
    return ((scaled * scaled).sum(-1, keepdim=True) + _NEGLIGIBLE**2).sqrt()


def _secant(y: Float[Tensor, "*y"]) -> Float[Tensor, "*y"]:
    """Return f1(y)/y."""
    return torch.where(y < 1, 2 - y, 1 / y)
