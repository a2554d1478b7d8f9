"""Least squares of damped residuals: second derivatives with their bends, and noise that residuals share."""

import pytest
import torch

from simlayer.identification.influence import Influence
from simlayer.identification.linear_uncertainty import linear_uncertainty
from simlayer.identification.outliers import damp_outliers, outlier_bends, outlier_weights

pytestmark = pytest.mark.usefixtures("float64")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def uncertainty(r, J, influence):
    whole = Influence(*(part[None, None] for part in influence))
    present = torch.ones(1, 1, len(r), dtype=torch.bool)
    return linear_uncertainty(r[None, None], J[None, None], present, epsilon=2.2e-16, influence=whole)


def test_without_bends_and_with_common_noise_it_is_that_of_plain_least_squares():
    J, r = torch.randn(20, 3, generator=generator()), torch.randn(20, generator=generator(1))
    found = uncertainty(r, J, Influence(torch.zeros(20), torch.full((20,), -1)))
    expected = r.square().sum() / 17 * torch.linalg.inv(J.T @ J)
    torch.testing.assert_close(found.covariance, expected)


def test_the_covariance_is_the_sandwich_of_the_exact_second_derivatives():
    X, y = torch.randn(60, 2, generator=generator()), torch.randn(60, generator=generator(1))
    y[:3] += 30.0
    scale = torch.tensor(4.0)
    theta = torch.zeros(2)

    def damped(theta):
        return damp_outliers(X @ theta - y, scale)

    r, J = damped(theta), torch.func.jacrev(damped)(theta)
    hessian = torch.func.hessian(lambda t: 0.5 * damped(t).square().sum())(theta)
    bread, scores = torch.linalg.inv(hessian), r[:, None] * J
    found = uncertainty(r, J, Influence(outlier_bends(X @ theta - y, scale), torch.arange(60)))
    torch.testing.assert_close(found.covariance, 60 / 58 * bread @ scores.T @ scores @ bread)
    # The weights of reweighted least squares give the same gradient.
    raw = X @ theta - y
    torch.testing.assert_close(X.T @ (outlier_weights(raw, scale) * raw), scores.sum(0))


def test_a_measurement_that_counts_twice_tells_no_more():
    X, r = torch.randn(30, 2, generator=generator()), torch.randn(30, generator=generator(1))
    once = uncertainty(r, X, Influence(torch.zeros(30), torch.arange(30)))
    twice = Influence(torch.zeros(60), torch.arange(30).repeat(2))
    found = uncertainty(r.repeat(2), X.repeat(2, 1), twice)
    torch.testing.assert_close(found.covariance * (58 / 60), once.covariance * (28 / 30))
