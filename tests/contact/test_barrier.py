"""Barriers against their table, their formulas, the origin's, and themselves."""

import pytest
import torch
from torch import Tensor

from simlayer.contact.barrier import CURVES, EXTENDED_BELOW, traced_barrier

pytestmark = pytest.mark.usefixtures("float64")

GAPS = (0.999, 0.7, 0.5, 0.2, 0.1, 0.03, 1e-3)
every_curve = pytest.mark.parametrize("curve", CURVES)


def derivatives(curve: str, gap: Tensor, **options) -> tuple[Tensor, Tensor, Tensor]:
    """The barrier, minus its slope, and its curvature."""
    barrier = traced_barrier(curve, **options)
    (slope,) = barrier.gradient([], [gap])
    return barrier.value([], [gap]), -slope, barrier.hessian([], [gap], point_axes=1)[:, 0, 0]


@pytest.mark.parametrize(
    ("gap", "value", "force", "stiffness"),
    [(0.5, 0.1733, 1.193, 6.386), (0.2, 1.030, 5.775, 35.22), (0.1, 1.865, 12.24, 121.6)],
)
def test_the_linear_curve_has_the_values_of_the_table(gap, value, force, stiffness):
    found = derivatives("linear", torch.tensor([gap]))
    assert [f"{float(x):.4g}" for x in found] == [f"{x:.4g}" for x in (value, force, stiffness)]


def test_the_linear_curve_has_the_derivatives_of_the_formulas():
    s = torch.tensor(GAPS)
    value, force, stiffness = derivatives("linear", s)
    assert torch.allclose(value, -((1 - s) ** 2) * s.log(), rtol=1e-12)
    assert torch.allclose(force, (1 - s) * (1 / s - 1 - 2 * s.log()), rtol=1e-12)
    # Close to s = 1 the terms of the formula cancel to a thousandth.
    assert torch.allclose(stiffness, s**-2 + 2 / s - 3 - 2 * s.log(), rtol=1e-12, atol=1e-14)


def test_the_squared_curve_has_the_derivatives_of_the_formulas():
    s = torch.tensor(GAPS)
    S = s * s
    value, force, stiffness = derivatives("squared", s)
    slope, curvature = (1 - S) * (1 / S - 1 - 2 * S.log()), S**-2 + 2 / S - 3 - 2 * S.log()
    assert torch.allclose(value, -((1 - S) ** 2) * S.log(), rtol=1e-12)
    assert torch.allclose(force, 2 * s * slope, rtol=1e-12)
    assert torch.allclose(stiffness, 4 * S * curvature - 2 * slope, rtol=1e-12, atol=1e-13)


def test_the_linear_curve_is_the_origins_barrier_in_physical_units():
    # kappa_origin = w kappa/d̂: b(d) = -kappa_origin (d - d̂)² ln(d/d̂), and its derivative.
    area, kappa, activation = 3e-4, 2e4, 5e-3
    d = activation * torch.tensor(GAPS)
    value, force, _ = derivatives("linear", d / activation)
    origin = area * kappa / activation
    log = (d / activation).log()
    b = -origin * (d - activation) ** 2 * log
    slope = -origin * (2 * (d - activation) * log + (d - activation) ** 2 / d)
    assert torch.allclose(area * kappa * activation * value, b, rtol=1e-12)
    assert torch.allclose(-area * kappa * force, slope, rtol=1e-12)


@every_curve
def test_the_barrier_begins_with_two_continuous_derivatives(curve):
    for found in derivatives(curve, torch.tensor([1 - 1e-7, 1.0, 1 + 1e-7, 3.0, 1e6])):
        assert found[0].abs() < 5e-6, "the curvature just inside is 6 or 48 times the distance from 1"
        assert (found[1:] == 0).all()


@every_curve
def test_the_barrier_falls_and_is_convex(curve):
    _, force, stiffness = derivatives(curve, torch.linspace(1e-3, 0.999, 500))
    assert (force > 0).all()
    assert (stiffness > 0).all()


@every_curve
def test_the_barrier_is_infinite_at_contact_and_not_a_number_beyond(curve):
    value, force, _ = derivatives(curve, torch.tensor([0.0, -1e-9, -0.5]))
    assert value[0] == torch.inf
    assert not force[0].isfinite()
    assert value[1:].isnan().all()
    assert force[1:].isnan().all()


@every_curve
def test_the_extension_is_the_barrier_above_a_tenth_and_a_parabola_that_meets_it_below(curve):
    above = torch.tensor([1.5, 1.0, 0.7, 0.1001])
    for plain, extended in zip(
        derivatives(curve, above), derivatives(curve, above, extended=True), strict=True
    ):
        assert torch.allclose(plain, extended, rtol=1e-12, atol=1e-15)
    value, force, stiffness = (
        x for x in derivatives(curve, torch.tensor([EXTENDED_BELOW, 0.05, -0.3]), extended=True)
    )
    assert torch.allclose(stiffness, stiffness[0].expand(3), rtol=1e-12)
    beyond = EXTENDED_BELOW - torch.tensor([0.05, -0.3])
    assert torch.allclose(force[1:], force[0] + stiffness[0] * beyond, rtol=1e-12)
    assert torch.allclose(value[1:], value[0] + beyond * (force[0] + stiffness[0] * beyond / 2), rtol=1e-12)


@every_curve
@pytest.mark.parametrize("extended", [False, True])
def test_derivatives_of_every_order_equal_differences(curve, extended):
    barrier = traced_barrier(curve, extended=extended)
    # Away from 0.1 and 1, where the third derivative jumps.
    gap = torch.tensor([0.05, 0.3, 0.8, 1.2], requires_grad=True)
    for function in (lambda s: barrier.value([], [s]), lambda s: barrier.gradient([], [s])[0]):
        assert torch.autograd.gradcheck(function, gap)
        assert torch.autograd.gradgradcheck(function, gap)


@every_curve
def test_single_precision_is_right_to_its_own_rounding(curve):
    gap = torch.tensor(GAPS)
    exact = derivatives(curve, gap)
    for found, expected in zip(derivatives(curve, gap.float()), exact, strict=True):
        assert found.dtype == torch.float32
        # The gap itself is rounded, and is 1e-3 from 1 where the curvature is smallest.
        assert torch.allclose(found.double(), expected, rtol=1e-3)


def test_an_unknown_curve_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="curve must be one of 'linear', 'squared', got 'cubic'"):
        traced_barrier("cubic")
