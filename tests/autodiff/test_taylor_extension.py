"""The quadratic continuation of a function beyond an interval."""

import pytest
import torch

from simlayer.autodiff.taylor_extension import extended

pytestmark = pytest.mark.usefixtures("float64")

LOW, HIGH = 0.1, 5.0


def extended_log(x):
    return extended(torch.log, x, (LOW, HIGH))


def test_inside_the_interval_an_extended_function_is_the_function():
    x = torch.linspace(LOW, HIGH, 101)
    assert torch.equal(extended_log(x), x.log())


@pytest.mark.parametrize(("end", "x"), [(LOW, -3.0), (LOW, 0.0), (LOW, 0.05), (HIGH, 5.5), (HIGH, 100.0)])
def test_outside_the_interval_an_extended_function_is_its_taylor_polynomial(end, x):
    d = x - end
    expected = torch.tensor(end).log() + d / end - d**2 / (2 * end**2)
    assert torch.allclose(extended_log(torch.tensor(x)), expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("x", [-3.0, 0.0, 0.05, 0.3, 4.0, 7.0])
def test_an_extended_function_has_exact_derivatives_of_two_orders(x):
    x = torch.tensor(x, requires_grad=True)
    assert torch.autograd.gradcheck(extended_log, x)
    assert torch.autograd.gradgradcheck(extended_log, x)


@pytest.mark.parametrize("end", [LOW, HIGH])
def test_value_slope_and_curvature_are_continuous_at_the_ends_of_the_interval(end):
    x = torch.tensor([end * (1 - 1e-12), end, end * (1 + 1e-12)], requires_grad=True)
    y = extended_log(x)
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    for values, exact in ((y, x.log()), (slope, 1 / x), (curvature, -1 / x**2)):
        # The derivative of the logarithm's curvature is 2e3 at 0.1, over a distance of 1e-13.
        assert torch.allclose(values, exact, rtol=1e-11, atol=1e-11)


def test_without_an_interval_an_extended_function_is_the_function_everywhere():
    x = torch.tensor([-1.0, 0.0, 0.05, 7.0])
    assert torch.equal(extended(torch.log, x, None).nan_to_num(), x.log().nan_to_num())
