"""The Gaussian that a network makes of a recording."""

import math

import torch
from torch import nn
from torch.distributions import MultivariateNormal

from simlayer.identification.recordings_network import RecordingsNetwork


def network(size=3):
    """A network that has standardized other recordings than it sees, of two points in four frames."""
    torch.manual_seed(0)

    def encoder(channels, frames, outputs):
        return nn.Sequential(nn.Flatten(), nn.Linear(channels * frames, outputs))

    made = RecordingsNetwork(encoder, torch.tensor([0.0, 1.0, 2.0, 4.0]), 2, size).double()
    made.standardize(
        2 + torch.randn(9, 4, 2, 3).double(), 5 * torch.randn(9, size).double(), torch.ones(2, 3)
    )
    return made


def test_the_loss_is_the_likelihood_of_the_gaussian_that_is_predicted_but_for_a_constant():
    made, points = network(), torch.randn(5, 4, 2, 3).double()
    stored = torch.randn(5, 3).double()
    mean, covariance = made.gaussian(points)
    exact = -MultivariateNormal(mean, covariance).log_prob(stored).mean()
    constant = 1.5 * math.log(2 * math.pi) + made.stored_spread.log().sum()
    torch.testing.assert_close(made.negative_log_likelihood(points, stored), exact - constant)


def test_gradients_are_finite_where_points_were_not_observed():
    made, points = network(), torch.randn(5, 4, 2, 3).double()
    points[0] = math.nan
    points[1, 2, 1, 0] = math.nan
    made.negative_log_likelihood(points, torch.zeros(5, 3).double()).backward()
    gradients = [parameter.grad for parameter in made.parameters()]
    assert all(bool(gradient.isfinite().all() and gradient.any()) for gradient in gradients)


def test_a_single_frame_has_a_clock():
    made = RecordingsNetwork(
        lambda channels, frames, outputs: nn.Sequential(nn.Flatten(), nn.Linear(channels, outputs)),
        torch.tensor([0.5]),
        1,
        1,
    )
    assert made(torch.zeros(2, 1, 1, 3))[0].isfinite().all()
