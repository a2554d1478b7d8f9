"""The step of a trust-region method is the minimum of a quadratic in a ball."""

import math

import pytest
import torch

from simlayer.identification.trust_region import trust_region_step

pytestmark = pytest.mark.usefixtures("float64")
TOLERANCE = 1e-12


def problem(seed=0):
    generator = torch.Generator().manual_seed(seed)
    J = torch.randn(6, 4, generator=generator)
    return torch.randn(4, generator=generator), J.T @ J


def test_a_large_radius_gives_newtons_step():
    gradient, curvature = problem()
    step = trust_region_step(gradient, curvature, 1e9, rank_tolerance=TOLERANCE)
    torch.testing.assert_close(step, -torch.linalg.solve(curvature, gradient))


@pytest.mark.parametrize("radius", [0.3, 1e-3, 1e-8])
def test_the_step_is_on_the_boundary_and_balances_gradient_and_radius(radius):
    gradient, curvature = problem()
    step = trust_region_step(gradient, curvature, radius, rank_tolerance=TOLERANCE)
    assert float(step.norm()) == pytest.approx(radius, rel=1e-8)
    # Stationarity: the slope at the end of the step points along it, against it.
    slope = gradient + curvature @ step
    shift = -float(slope @ step) / radius**2
    assert shift > 0
    torch.testing.assert_close(slope, -shift * step, rtol=1e-6, atol=1e-12)


def test_a_direction_without_curvature_gets_no_step_however_large_the_radius():
    curvature = torch.diag(torch.tensor([2.0, 1e-17]))
    step = trust_region_step(torch.tensor([1.0, 1e-17]), curvature, 10.0, rank_tolerance=TOLERANCE)
    torch.testing.assert_close(step, torch.tensor([-0.5, 0.0]))


def test_without_any_curvature_there_is_no_step():
    step = trust_region_step(torch.zeros(2), torch.zeros(2, 2), 1.0, rank_tolerance=TOLERANCE)
    assert torch.equal(step, torch.zeros(2))


def test_steps_of_a_batch_are_those_of_its_members():
    gradients, curvatures = map(torch.stack, zip(*map(problem, range(4)), strict=True))
    curvatures[2] = torch.diag(torch.tensor([1.0, 0.0, 2.0, 0.0]))
    radii = torch.tensor([1e-3, 1e9, 0.3, math.inf])
    found = trust_region_step(gradients, curvatures, radii, rank_tolerance=TOLERANCE)
    for step, *given in zip(found, gradients, curvatures, radii, strict=True):
        torch.testing.assert_close(step, trust_region_step(*given, rank_tolerance=TOLERANCE))
