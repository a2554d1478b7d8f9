"""Ogden's law, whose fits have several minima."""

import pytest
from support.treloar import treloar

from simlayer import Ogden
from simlayer.material_point import fit_curves

pytestmark = pytest.mark.usefixtures("float64")


def test_the_fit_of_three_terms_to_three_tests_of_rubber_is_that_of_others():
    # An independent fit to the same points; the second modulus is 1.0554 Pa to its digits.
    found = fit_curves(
        Ogden((6.18e5, 1.177e3, -9.81e3), (1.3, 5.0, -2.0), 1e9), treloar(), incompressible=True
    )
    values = {"mu": (0.36813e6, 1.0554, -4895.3), "alpha": (1.8916, 8.4478, -2.2621)}
    for name, numbers in values.items():
        for term, number in enumerate(numbers):
            assert found.values[f"terms.{term}.{name}"] == pytest.approx(number, rel=0.01)
    assert found.rms == pytest.approx(0.0627e6, rel=0.01)


def test_several_starts_find_the_least_minimum_and_are_counted():
    poor = Ogden((1e5, 1e5, -1e5), (1.0, 2.0, -1.0), 1e9)
    found = fit_curves(poor, treloar(), incompressible=True, starts=16)
    assert found.rms == pytest.approx(0.0627e6, rel=0.01)
    assert found.starts == 16
    assert 1 <= found.found_best < 16
