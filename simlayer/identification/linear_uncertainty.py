"""The uncertainty of linear least squares: covariance, and the directions that are not determined."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simlayer.identification.influence import Influence, bent_inverse, score_covariance
from simlayer.identification.time_correlation import LEAST_FRAMES, gradient_covariance


class LinearUncertainty(NamedTuple):
    """The uncertainty of P parameters in units in which a change by one is large.

    Attributes:
        covariance: of the parameters, without what they change along invisible directions.
        independent: the same if all residuals were independent of each other.
        invisible: unit vectors along which the residuals change by rounding only.
        undetermined: these, and those along which the standard error is more than one.
        numbers: how many residuals there are.
        noise: their standard deviation; NaN if there are no more of them than visible directions.
        correlated: whether `covariance` accounts for correlation in time.
        step: the change of the parameters that would minimize the sum of squares; zero once converged.
    """

    covariance: Float[Tensor, "P P"]
    independent: Float[Tensor, "P P"]
    invisible: Float[Tensor, "I P"]
    undetermined: Float[Tensor, "U P"]
    numbers: int
    noise: float
    correlated: bool
    step: Float[Tensor, "P"]


def linear_uncertainty(
    residuals: Float[Tensor, "B F C"],
    jacobian: Float[Tensor, "B F C P"],
    present: Bool[Tensor, "B F C"],
    *,
    epsilon: float,
    influence: Influence | None = None,
) -> LinearUncertainty:
    """Return the uncertainty of the parameters that minimize the sum of the squares of residuals.

    The covariance is (JᵀJ)⁻¹ S (JᵀJ)⁻¹ with S that of Jᵀ r: `gradient_covariance` for each series of at
    least 30 frames, else s² JᵀJ with independent residuals of the variance s², the sum of squares over the
    degrees of freedom.

    Args:
        residuals: of C coordinates in F frames of B series; zero where nothing was observed.
        jacobian: their derivatives.
        present: where something was observed.
        epsilon: relative rounding error of the residuals; that of their derivatives is taken to be its
            two-thirds power.
        influence: of the residuals; None where they are differences with independent noise of one size.
    """
    rows = jacobian[present]
    numbers, size = rows.shape
    _, lengths, directions = torch.linalg.svd(
        torch.cat([rows, rows.new_zeros(size, size)]), full_matrices=False
    )
    visible = lengths > epsilon ** (2 / 3) * lengths[0].clamp(min=1e-300)
    freedom = numbers - int(visible.sum())
    noise = math.sqrt(float(residuals.square().sum()) / freedom) if freedom > 0 else math.nan
    root = directions[visible].T / lengths[visible]
    inverse = root @ root.T
    independent = noise**2 * inverse
    if influence is not None:
        bends, sources = (part[present] for part in influence)
        inverse = bent_inverse(rows, bends, root)
        lost = numbers / freedom if freedom > 0 else math.nan
        own = lost * score_covariance(residuals[present], rows, sources)
        common = rows[sources < 0]
        independent = inverse @ (own + noise**2 * common.T @ common) @ inverse
    correlated = residuals.shape[1] >= LEAST_FRAMES and freedom > 0
    covariance = independent
    if correlated:
        spread = torch.zeros_like(inverse)
        for series in zip(residuals, jacobian, present, strict=True):
            spread += gradient_covariance(*series) * (numbers / freedom)
        covariance = inverse @ spread @ inverse
    return LinearUncertainty(
        covariance=covariance,
        independent=independent,
        invisible=directions[~visible],
        undetermined=directions[~visible | (noise > lengths)],
        numbers=numbers,
        noise=noise,
        correlated=correlated,
        step=least_squares_step(rows, residuals[present], tolerance=epsilon ** (2 / 3)),
    )


def least_squares_step(
    rows: Float[Tensor, "R P"], residuals: Float[Tensor, "R"], *, tolerance: float
) -> Float[Tensor, "P"]:
    """Return the change of P parameters that minimizes the sum of squares of linearized residuals.

    There is no change along directions in which the residuals change by rounding only. These are told with
    all columns scaled to unit length: a parameter that hardly changes any residual may have far to go.

    Args:
        rows: the derivatives of the residuals.
        residuals: the residuals.
        tolerance: singular values below this share of the largest are rounding.
    """
    lengths = rows.norm(dim=0).clamp(min=1e-300)
    columns, sizes, directions = torch.linalg.svd(rows / lengths, full_matrices=False)
    seen = sizes > tolerance * sizes[0]
    step = -(directions[seen].T / sizes[seen]) @ (columns[:, seen].T @ residuals)
    return step / lengths
