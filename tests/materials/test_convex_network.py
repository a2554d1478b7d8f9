"""Convex networks: convex and increasing whatever their weights, and expanded exactly."""

import pytest
import torch

from simlayer.materials.convex_network import ConvexNetwork

pytestmark = pytest.mark.usefixtures("float64")

hidden_layers = pytest.mark.parametrize("hidden", [(1,), (5,), (8, 8), (3, 4, 2)], ids=str)


def network(hidden, seed=0):
    """A network with weights far from the first ones."""
    torch.manual_seed(seed)
    made = ConvexNetwork(2, 1, hidden)
    with torch.no_grad():
        for weight in made.parameters():
            weight += torch.randn_like(weight)
    return made


@hidden_layers
def test_no_chord_of_the_function_is_below_it(hidden):
    run = network(hidden)
    a, b = 3 * torch.randn(2, 3, 500)
    t = torch.rand(500)
    between, chord = run(tuple((1 - t) * a + t * b)), (1 - t) * run(tuple(a)) + t * run(tuple(b))
    assert (chord - between > -1e-12 * chord.abs()).all()


@hidden_layers
def test_the_function_increases_in_the_first_inputs_and_may_decrease_in_the_last(hidden):
    slopes = []
    for seed in range(5):
        x = 3 * torch.randn(3, 100, requires_grad=True)
        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(network(hidden, seed)(tuple(x)).sum(), x)
        slopes.append(slope)
    slopes = torch.cat(slopes, 1)
    assert (slopes[:2] > 0).all()
    assert (slopes[2] < 0).any()


@hidden_layers
def test_the_expansion_at_zero_is_that_of_autograd(hidden):
    run, direction = network(hidden), torch.tensor([2.0, 4.0, 1.0])
    zero = torch.zeros(3)
    value, gradient, curvature = run.at_zero(direction)
    slope = torch.autograd.functional.jacobian(lambda x: run(tuple(x)), zero)
    hessian = torch.autograd.functional.hessian(lambda x: run(tuple(x)), zero)
    torch.testing.assert_close(value, run(tuple(zero)), rtol=1e-14, atol=0)
    torch.testing.assert_close(gradient, slope, rtol=1e-13, atol=0)
    torch.testing.assert_close(curvature, direction @ hessian @ direction, rtol=1e-12, atol=0)
