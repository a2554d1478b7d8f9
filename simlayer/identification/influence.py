"""The covariance of least squares where residuals have bounded influence, or share their noise."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

# Where more than nine in ten of what the residuals tell is that of outliers, there is no minimum to speak of.
_LEAST_CURVATURE = 0.1


class Influence(NamedTuple):
    """How residuals differ from independent ones of equal noise that are linear in what was measured.

    Attributes:
        bends: f f'' / f'² of a residual f(r) of a difference r: the part by which the second derivative of
            f²/2 differs from that of the linearized residual; zero where f is r.
        sources: which noise is behind each residual, from 0: those of the same one are not independent. -1
            for one of the noise that all others have in common.
    """

    bends: Float[Tensor, "*n"]
    sources: Int[Tensor, "*n"]


def bent_inverse(
    rows: Float[Tensor, "R P"], bends: Float[Tensor, "R"], root: Float[Tensor, "P V"]
) -> Float[Tensor, "P P"]:
    """Return the inverse of the second derivatives of half the sum of squares, along V visible directions.

    Args:
        rows: the derivatives of the residuals.
        bends: see `Influence`.
        root: R with R Rᵀ the inverse of JᵀJ.
    """
    along = rows @ root
    sizes, directions = torch.linalg.eigh(along.T @ ((1 + bends)[:, None] * along))
    scaled = root @ directions
    return (scaled / sizes.clamp(min=_LEAST_CURVATURE)) @ scaled.T


def score_covariance(
    residuals: Float[Tensor, "R"], rows: Float[Tensor, "R P"], sources: Int[Tensor, "R"]
) -> Float[Tensor, "P P"]:
    """Return the sum over the sources of noise, those from 0 on, of the squares of what each adds to Jᵀ r."""
    own = sources >= 0
    sums = rows.new_zeros(int(sources.max()) + 1, rows.shape[1])
    sums.index_add_(0, sources[own], residuals[own, None] * rows[own])
    return sums.T @ sums
