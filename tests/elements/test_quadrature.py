"""Quadrature: exact for the polynomials that each rule is there for."""

import math
from itertools import product

import pytest
import torch

from simlayer.elements.quadrature import (
    CENTRE,
    CUBE_5,
    TETRAHEDRON_2,
    TETRAHEDRON_3,
    TETRAHEDRON_5,
    TRIANGLE_2,
    TRIANGLE_4,
    gauss,
)
from simlayer.elements.types import ELEMENT_TYPES

pytestmark = pytest.mark.usefixtures("float64")


def over_cube(powers):
    return math.prod(1 / (power + 1) for power in powers)


def over_simplex(powers):
    """The integral of a monomial over the reference triangle or tetrahedron (Dirichlet)."""
    return math.prod(map(math.factorial, powers)) / math.factorial(sum(powers) + len(powers))


# The degree to which each must be exact: in all coordinates together, or in each for products of lines.
RULES = {
    "centre": (CENTRE, over_simplex, 1),
    "tetrahedron, 4 points": (TETRAHEDRON_2, over_simplex, 2),
    "tetrahedron, 8 points": (TETRAHEDRON_3, over_simplex, 3),
    "tetrahedron, 14 points": (TETRAHEDRON_5, over_simplex, 5),
    "triangle, 3 points": (TRIANGLE_2, over_simplex, 2),
    "triangle, 6 points": (TRIANGLE_4, over_simplex, 4),
    "cube, 14 points": (CUBE_5, over_cube, 5),
}
GAUSS = [(dimension, count) for dimension in (1, 2, 3) for count in (2, 3, 4)]


def worst(rule, exact, powers):
    points, weights = rule.tensors()
    errors = [abs(float(weights @ (points ** torch.tensor(p)).prod(1)) - exact(p)) for p in powers]
    return max(errors)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_integrates_the_monomials_of_its_degree_and_no_higher(name):
    rule, exact, degree = RULES[name]
    powers = list(product(range(degree + 2), repeat=len(rule.points[0])))
    assert worst(rule, exact, [p for p in powers if sum(p) <= degree]) < 1e-15
    assert worst(rule, exact, [p for p in powers if sum(p) == degree + 1]) > 1e-6


@pytest.mark.parametrize(("dimension", "count"), GAUSS)
def test_gauss_points_integrate_up_to_twice_their_number_less_one_in_every_coordinate(dimension, count):
    powers = list(product(range(2 * count), repeat=dimension))
    assert worst(gauss(dimension, count), over_cube, powers) < 1e-15
    assert worst(gauss(dimension, count), over_cube, [(2 * count,) * dimension]) > 1e-7


@pytest.mark.parametrize("name", ELEMENT_TYPES)
def test_the_points_of_every_rule_lie_inside_with_positive_weights(name):
    element = ELEMENT_TYPES[name]
    rules = [element.rule, element.curved_rule, element.mass_rule, element.reduced_rule]
    for rule in filter(None, [*rules, element.face.rule, element.edge.rule]):
        points, weights = rule.tensors()
        assert points.min() > 0
        assert points.max() < 1
        assert weights.min() > 0
