"""Least squares with residuals that are correlated in time: the covariance of their gradient."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# Of fewer frames no correlation can be estimated; they are taken as independent.
LEAST_FRAMES = 30

# Nearer to one, the whole recording would be a single correlated stretch.
STRONGEST = 0.97


def gradient_covariance(
    residuals: Float[Tensor, "F C"], jacobian: Float[Tensor, "F C P"], present: Bool[Tensor, "F C"]
) -> Float[Tensor, "P P"]:
    """Return the covariance of Jᵀ r for residuals of a stationary process, of C coordinates in F frames.

    The process is r_t = a r_t-1 + e_t with one number a for all coordinates (prewhitening; Andrews and
    Monahan 1992, Econometrica 60, 953), estimated with the correction (1 + 3 a) / F of its bias (Kendall
    1954, Biometrika 41, 403). The innovations e have what is left of the correlation, of all pairs of
    coordinates, see `_weighted`. Then Jᵀ r = Kᵀ e with K_t = J_t + a K_t+1. Missing residuals and their
    rows must be zero.
    """
    a = _correlation(residuals, present)
    a = min(max(a + (1 + 3 * a) / len(residuals), -STRONGEST), STRONGEST)
    # The first residual has the variance of the process, more than that of an innovation.
    first = math.sqrt(1 - a**2)
    innovations = torch.cat([first * residuals[:1], residuals[1:] - a * residuals[:-1]])
    complete = torch.cat([present[:1], present[1:] & present[:-1]])
    carried, rows = torch.zeros_like(jacobian[0]), []
    for row in jacobian.flip(0):
        carried = row + a * carried
        rows.append(carried)
    rows[-1] = rows[-1] / first
    return _weighted(innovations * complete, torch.stack(rows[::-1]), complete)


def _weighted(
    residuals: Float[Tensor, "F C"], jacobian: Float[Tensor, "F C P"], present: Bool[Tensor, "F C"]
) -> Float[Tensor, "P P"]:
    """Return the sum over lags l of w(l) sum over frames t of J_tᵀ C_l J_t+l.

    C_l is the covariance of the coordinates' residuals l frames apart, averaged over the frames. The
    weights w are Parzen's; they vanish from a lag on that the correlation between successive frames decides
    (Andrews 1991, Econometrica 59, 817). Memory is that of the Jacobian, however many frames there are.
    """
    count, coordinates = residuals.shape
    scaled = residuals / present.double().mean(0).clamp(min=1 / count).sqrt()
    # By frame of the Jacobian and frame of the residuals, where the matrices C_l are larger than that.
    projected = torch.einsum("tcp,sc->tsp", jacobian, scaled) if coordinates > count else None
    correlation = min(max(_correlation(residuals, present), -STRONGEST), STRONGEST)
    width = max(2.6614 * (4 * correlation**2 / (1 - correlation) ** 4 * count) ** 0.2, 1.0)
    total = torch.zeros(jacobian.shape[-1], jacobian.shape[-1], dtype=residuals.dtype)
    for lag in range(min(math.ceil(width), count)):
        end = count - lag
        if projected is not None:
            part = torch.einsum("tsp,tsq->pq", projected[:end, :end], projected[lag:, lag:]) / count
        else:
            covariance = scaled[:end].T @ scaled[lag:] / count
            part = torch.einsum("tcp,tcq->pq", jacobian[:end], covariance @ jacobian[lag:])
        total += _parzen(lag / width) * (part + part.T if lag else part)
    return total


def _correlation(residuals: Float[Tensor, "F C"], present: Bool[Tensor, "F C"]) -> float:
    """Return the correlation between successive frames."""
    pairs = (present[1:] & present[:-1]).sum().clamp(min=1)
    covariance = (residuals[1:] * residuals[:-1]).sum() / pairs * (1 - 1 / len(residuals))
    variance = residuals.square().sum() / present.sum().clamp(min=1)
    return float(covariance / variance.clamp(min=1e-300))


def _parzen(x: float) -> float:
    return 1 - 6 * x**2 + 6 * x**3 if x <= 0.5 else 2 * (1 - x) ** 3
