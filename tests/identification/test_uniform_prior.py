"""Ranges of quantities: values in them are as likely, logarithms where they are positive."""

import math

import pytest
import torch
from support.observed import DAMPING, NU, E, observed_beam

from simlayer.identification.uniform_prior import UniformPrior

pytestmark = pytest.mark.usefixtures("float64")


def prior(**ranges):
    return UniformPrior(observed_beam().quantities_by_name(), ranges)


def drawn(made, count=20_000):
    stored = made.draw(count, torch.Generator().manual_seed(0))
    return [u.quantity.decode(part) for u, part in zip(made.unknowns, stored.unbind(1), strict=True)]


def shares(values, low, high):
    """Return where in a range values lie, from 0 to 1, sorted."""
    return ((values - low) / (high - low)).sort().values


def test_logarithms_of_positive_quantities_and_values_of_others_are_uniform():
    modulus, ratio = drawn(prior(youngs_modulus=(1e4, 1e6), poissons_ratio=(0.1, 0.4)))
    even = (torch.arange(20_000) + 0.5) / 20_000
    # The largest deviation from a uniform distribution (Kolmogorov-Smirnov) is below 0.0115 in 99 % of draws.
    assert (shares(modulus.log(), math.log(1e4), math.log(1e6)) - even).abs().max() < 0.0115
    assert (shares(ratio, 0.1, 0.4) - even).abs().max() < 0.0115
    assert abs(float(torch.corrcoef(torch.stack([modulus.log(), ratio]))[0, 1])) < 0.02


def test_a_quantity_of_several_numbers_has_as_many_values():
    made = prior(gravity=(-10.0, 0.0))
    assert made.size == 3
    assert made.draw(5, torch.Generator()).shape == (5, 3)


def test_the_middle_is_that_of_logarithms_and_of_values():
    modulus, ratio = prior(youngs_modulus=(1e4, 1e6), poissons_ratio=(0.1, 0.4)).middle()
    assert float(modulus) == pytest.approx(math.log(1e5))
    # Stored as the logit in (-1, 0.5).
    assert float(ratio) == pytest.approx(math.log(1.25 / 0.25))


def test_the_nearest_values_are_those_in_the_ranges_or_their_ends():
    made = prior(youngs_modulus=(1e4, 1e6))
    stored = torch.tensor([1e3, 2e5, 1e7]).log()[:, None]
    torch.testing.assert_close(made.nearest(stored)[:, 0].exp(), torch.tensor([1e4, 2e5, 1e6]))


def test_median_errors_are_relative_to_the_truth_or_to_the_range():
    made = prior(youngs_modulus=(1e4, 1e6), poissons_ratio=(0.1, 0.4))
    truth = {E: torch.tensor([1e5, 2e5, 4e5]), NU: torch.tensor([0.2, 0.3, 0.35])}
    values = {E: torch.tensor([1.1e5, 2e5, 3e5]), NU: torch.tensor([0.2, 0.33, 0.32])}
    errors = made.median_errors(values, truth)
    assert {name: round(float(error), 6) for name, error in errors.items()} == {
        "median_error/youngs_modulus": 0.1,
        "median_error/poissons_ratio": 0.1,
    }


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("ranges", "error", "message"),
    [
        ({}, TypeError, "prior must map names of quantities to ranges"),
        (
            {"youngs_modulus": (2e5, 1e5)},
            ValueError,
            "must have the lower value first, got 200000 and",
        ),
        ({"youngs_modulus": (0.0, 1e5)}, ValueError, "youngs_modulus must be positive, got 0"),
        ({"youngs_modulus": 1e5}, TypeError, "youngs_modulus must be 2 values"),
        ({"youngs_modulus": (1e5, 2e5), E: (1e5, 2e5)}, ValueError, "prior must name each quantity once"),
        ({"release_time": (0.0, 0.1)}, ValueError, "must not name 'release_time'"),
        ({"modulus": (0.0, 0.1)}, KeyError, "no quantity is named 'modulus'"),
    ],
)
def test_what_is_no_range_of_a_quantity_is_refused(ranges, error, message):
    with pytest.raises(error, match=message):
        prior(**ranges)


def test_quantities_keep_the_order_in_which_they_are_named():
    made = prior(coefficient=(1.0, 2.0), youngs_modulus=(1e4, 1e5))
    assert [unknown.name for unknown in made.unknowns] == [DAMPING, E]
