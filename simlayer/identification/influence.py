"""The covariance of least squares where residuals have bounded influence, or share their noise."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

# The least second derivative along a direction, as a share of that of undamped residuals: where outliers take
# away more than nine tenths of it, there is no minimum to speak of.
_LEAST_CURVATURE = 0.1


class Influence(NamedTuple):
    """What a covariance must know of residuals that bound the influence of outliers, or share their noise.

    Attributes:
        bends: f f'' / f'² of a residual f(r) of a difference r: the excess of the second derivative of f²/2
            over f'², as a share of f'²; zero for f(r) = r.
        sources: the number of the noise behind each residual, from 0: residuals with the same one are
            correlated. -1 for a residual with noise of its own, of the variance of the whole fit.
    """

    bends: Float[Tensor, "*n"]
    sources: Int[Tensor, "*n"]


def bent_inverse(
    rows: Float[Tensor, "R P"], bends: Float[Tensor, "R"], root: Float[Tensor, "P V"]
) -> Float[Tensor, "P P"]:
    """Return the inverse Hessian of half the sum of squares of R residuals by P parameters.

    It is confined to the V directions along which the residuals determine the parameters.

    Args:
        rows: J, the derivatives of the residuals.
        bends: see `Influence`.
        root: a root B of the inverse of JᵀJ along these directions, B Bᵀ.
    """
    along = rows @ root
    sizes, directions = torch.linalg.eigh(along.T @ ((1 + bends)[:, None] * along))
    scaled = root @ directions
    return (scaled / sizes.clamp(min=_LEAST_CURVATURE)) @ scaled.T


def score_covariance(
    residuals: Float[Tensor, "R"], rows: Float[Tensor, "R P"], sources: Int[Tensor, "R"]
) -> Float[Tensor, "P P"]:
    """Return the covariance of Jᵀ r of P parameters, from the residuals with a source of noise from 0 on.

    It is Σ gₛ gₛᵀ over the sources s, with the part gₛ of Jᵀ r that comes from residuals of this source: the
    middle of a cluster-robust sandwich covariance (Liang and Zeger 1986).
    """
    own = sources >= 0
    sums = rows.new_zeros(int(sources.max()) + 1, rows.shape[1])
    sums.index_add_(0, sources[own], residuals[own, None] * rows[own])
    return sums.T @ sums
