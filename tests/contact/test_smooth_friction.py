"""Smooth Coulomb friction as a formula: its potential, its derivatives, and its implicit update."""

import math

import pytest
import torch
from support.scenes import noise

from simlayer.contact.smooth_friction import (
    dissipation_gradient,
    dissipation_hessian,
    dissipation_potential,
    friction_potential,
    friction_ratio,
    friction_retention,
    tangential,
)

pytestmark = pytest.mark.usefixtures("float64")

THRESHOLD = 0.3


def unit_vectors(count, seed=0):
    return torch.nn.functional.normalize(noise(count, 3, seed=seed), dim=-1)


def spread(*shape, low, high, seed):
    """Positive numbers of many orders of magnitude, between powers of ten."""
    generator = torch.Generator().manual_seed(seed)
    return 10 ** (low + (high - low) * torch.rand(shape, generator=generator))


def slidings(count, seed=0):
    """Tangential velocities from far below the threshold to far above, and their normals."""
    normals = unit_vectors(count, seed + 1)
    directions = torch.nn.functional.normalize(tangential(unit_vectors(count, seed), normals), dim=-1)
    return spread(count, 1, low=-4, high=3, seed=seed) * directions, normals


def test_friction_rises_to_its_largest_at_the_threshold_and_stays():
    speeds = THRESHOLD * torch.tensor([0.0, 0.5, 1.0, 7.0])
    # Exact but for the rounding of the quotient.
    assert torch.allclose(friction_ratio(speeds, THRESHOLD), torch.tensor([0.0, 0.75, 1.0, 1.0]), atol=1e-15)


def test_the_potential_is_zero_at_rest_and_friction_is_its_slope():
    speeds = THRESHOLD * torch.tensor([0.0, 0.2, 0.99, 1.0, 1.01, 30.0])
    slope = torch.func.grad(lambda y: friction_potential(y, THRESHOLD).sum())(speeds)
    potential = friction_potential(speeds, THRESHOLD)
    assert potential[0] == 0
    assert torch.allclose(slope, friction_ratio(speeds, THRESHOLD), rtol=0, atol=1e-14)
    assert float(potential[-1]) == pytest.approx(THRESHOLD * (30 - 1 / 3), rel=1e-14)


def test_the_gradient_is_that_of_the_potential_and_the_hessian_that_of_the_gradient():
    sliding, normals = slidings(200)
    velocities = (sliding + noise(200, 1) * normals).requires_grad_()
    limit = spread(200, low=-2, high=2, seed=5)
    along = tangential(velocities, normals)
    gradient = dissipation_gradient(along, limit, THRESHOLD)
    (expected,) = torch.autograd.grad(
        dissipation_potential(along, limit, THRESHOLD).sum(), velocities, create_graph=True
    )
    assert torch.allclose(gradient, expected, rtol=1e-12, atol=1e-12)
    rows = [torch.autograd.grad(expected[:, k].sum(), velocities, retain_graph=True)[0] for k in range(3)]
    hessian = dissipation_hessian(along, normals, limit, THRESHOLD)
    assert torch.allclose(hessian, torch.stack(rows, 1), rtol=1e-9, atol=1e-11)


def test_the_potential_is_convex_and_friction_takes_power_out():
    sliding, normals = slidings(10_000, seed=3)
    limit = spread(10_000, low=-3, high=3, seed=6)
    hessian = dissipation_hessian(sliding, normals, limit, THRESHOLD)
    # Eigenvalues are as exact as the largest one.
    lowest, _, largest = torch.linalg.eigvalsh(hessian).unbind(-1)
    assert (lowest >= -1e-13 * largest).all()
    assert ((dissipation_gradient(sliding, limit, THRESHOLD) * sliding).sum(-1) >= 0).all()


def test_the_update_solves_backward_euler_for_any_step():
    sliding, _ = slidings(10_000, seed=7)
    most_lost = spread(10_000, low=-6, high=6, seed=8)
    after = friction_retention(sliding, most_lost, THRESHOLD)[:, None] * sliding
    # Minus friction is the gradient of the dissipation potential.
    residual = after - sliding + dissipation_gradient(after, most_lost, THRESHOLD)
    # Rounding, and the speed that counts as zero, 1e-6 thresholds: it shifts a speed of y thresholds by
    # 1e-12/(2 y), and friction by half as much relative to itself, which is what the velocity has lost.
    y = (after / THRESHOLD).norm(dim=-1).clamp(min=1e-6)
    assert (residual.norm(dim=-1) <= sliding.norm(dim=-1) * (1e-13 + 1e-12 / y)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_update_never_turns_a_velocity_around_nor_lengthens_it(dtype):
    sliding, _ = slidings(10_000, seed=9)
    most_lost = spread(10_000, low=-8, high=8, seed=10)
    kept = friction_retention(sliding.to(dtype), most_lost.to(dtype), THRESHOLD)
    assert ((kept >= 0) & (kept <= 1)).all()


def test_value_and_slope_are_continuous_where_slipping_begins():
    a = 0.7
    r = THRESHOLD * (1 + a / THRESHOLD)
    sides = torch.tensor([[r * (1 - 1e-12), 0.0, 0.0], [r, 0.0, 0.0]], requires_grad=True)
    kept = friction_retention(sides, torch.full((2,), a), THRESHOLD)
    (slopes,) = torch.autograd.grad(kept.sum(), sides)
    assert float(kept[0].detach()) == pytest.approx(THRESHOLD / (THRESHOLD + a), rel=1e-11)
    assert float(kept[1].detach()) == pytest.approx(THRESHOLD / (THRESHOLD + a), rel=1e-14)
    assert float(slopes[0, 0]) == pytest.approx(float(slopes[1, 0]), rel=1e-10)


def test_friction_acts_in_the_tangent_plane_only():
    vectors, normals = noise(100, 3), unit_vectors(100, seed=2)
    along = tangential(vectors, normals)
    assert float((along * normals).sum(-1).abs().max()) < 1e-15 * 10
    assert torch.allclose(tangential(along, normals), along, rtol=0, atol=1e-15)
    assert torch.equal(tangential(vectors, torch.zeros_like(normals)), vectors)


FUNCTIONS = {
    "potential": lambda v, a: dissipation_potential(v, a, THRESHOLD),
    "gradient": lambda v, a: dissipation_gradient(v, a, THRESHOLD),
    "hessian": lambda v, a: dissipation_hessian(v, torch.tensor([0.0, 0.0, 1.0]), a, THRESHOLD),
    "update": lambda v, a: friction_retention(v, a, THRESHOLD)[..., None] * v,
    "projection": lambda v, a: tangential(v, torch.tensor([0.6, 0.0, 0.8])) * a[..., None],
}
# At rest, sliding slowly, where slipping begins, fast; with some normal force and with none.
SLIDING = torch.tensor([[0.0, 0.0, 0.0], [0.1, -0.05, 0.0], [0.31, 0.0, 0.0], [2.0, 1.0, 0.0]])


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "hessian"])
def test_derivatives_are_exact(name):
    v = SLIDING.double().repeat(2, 1).requires_grad_()
    a = torch.tensor([0.2, 0.0]).repeat_interleave(4).requires_grad_()
    assert torch.autograd.gradcheck(FUNCTIONS[name], (v, a))
    assert torch.autograd.gradgradcheck(FUNCTIONS[name], (v, a))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_at_rest_and_without_normal_force_are_finite(name, dtype):
    torch.set_default_dtype(dtype)
    v = torch.cat([torch.zeros(2, 3), torch.full((2, 3), 1e-30)]).requires_grad_()
    a = torch.tensor([0.0, 1e6, 0.0, 1e6], requires_grad=True)
    value = FUNCTIONS[name](v, a)
    first = torch.autograd.grad(value.sum(), (v, a), create_graph=True)
    second = torch.autograd.grad(sum(g.square().sum() for g in first), (v, a), materialize_grads=True)
    assert all(tensor.isfinite().all() for tensor in (value, *first, *second))


def test_the_creep_of_a_block_follows_from_the_formula():
    ratio = math.tan(math.radians(20)) / 0.5
    y = torch.tensor(1 - math.sqrt(1 - ratio))
    assert float(y) == pytest.approx(0.478407, abs=5e-7)
    assert float(friction_ratio(THRESHOLD * y, THRESHOLD)) == pytest.approx(ratio, rel=1e-14)
