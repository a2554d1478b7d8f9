"""Maps on velocities: exact decay, and a smooth limit on speed."""

import math

import pytest
import torch

from simlayer import MassDamping, SmoothVelocityClamp, State, StepContext

pytestmark = pytest.mark.usefixtures("float64")


def alone(dt, v):
    """How a body of unit masses is damped."""
    return StepContext(dt, torch.ones(v.shape[:-1]))


def apply(dissipation, v, dt=1e-3):
    return dissipation(State.at_rest(torch.zeros_like(v)), v, alone(dt, v))


# The contract of every dissipation; a newcomer joins by a line.

every_one = pytest.mark.parametrize("make", [lambda: MassDamping(3.0), lambda: SmoothVelocityClamp(0.7)])


@every_one
def test_no_vertex_gets_faster(make):
    v = torch.randn(1000, 3) * 10 ** (4 * torch.rand(1000, 1) - 3)
    assert (apply(make(), v).norm(dim=-1) <= v.norm(dim=-1)).all()


@every_one
def test_the_direction_of_motion_stays(make):
    v = torch.randn(1000, 3)
    after = apply(make(), v)
    cosine = (v * after).sum(-1) / (v.norm(dim=-1) * after.norm(dim=-1))
    # Rounding of a quotient of two sums of three.
    assert torch.allclose(cosine, torch.ones(1000), rtol=0, atol=1e-15)


@every_one
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_vertex_at_rest_stays_at_rest_with_finite_derivatives(make, dtype):
    dissipation, v = make().to(dtype), torch.zeros(4, 3, dtype=dtype, requires_grad=True)
    dissipation.requires_grad_()
    after = apply(dissipation, v)
    inputs = (v, *dissipation.parameters())
    first = torch.autograd.grad(after.sum(), inputs, create_graph=True)
    second = torch.autograd.grad(sum(g.square().sum() for g in first), inputs, materialize_grads=True)
    assert torch.equal(after, torch.zeros_like(after))
    assert all(g.isfinite().all() for g in (*first, *second))


@every_one
def test_derivatives_are_exact_in_velocities_and_quantities(make):
    dissipation, v = make(), torch.randn(4, 3, requires_grad=True)
    v.data[0] = 0
    stored = [(name, p.detach().clone().requires_grad_()) for name, p in dissipation.named_parameters()]

    def function(v, *tensors):
        named = {name: tensor for (name, _), tensor in zip(stored, tensors, strict=True)}
        state = State.at_rest(torch.zeros_like(v))
        return torch.func.functional_call(dissipation, named, (state, v, alone(1e-2, v)))

    inputs = (v, *(tensor for _, tensor in stored))
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


@pytest.mark.parametrize("kind", [MassDamping, SmoothVelocityClamp])
def test_a_batch_of_quantities_acts_on_a_batch_of_velocities_one_by_one(kind):
    values, v = 0.5 + torch.rand(5, 1), torch.randn(5, 4, 3)
    together = apply(kind(values), v)
    for value, sample, after in zip(values, v, together, strict=True):
        # Vectorised and scalar functions may differ in the last bit.
        assert torch.allclose(apply(kind(value.item()), sample), after, rtol=1e-15, atol=0)


@pytest.mark.parametrize(("kind", "name"), [(MassDamping, "coefficient"), (SmoothVelocityClamp, "max_speed")])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_a_value_that_is_not_positive_is_refused_by_name(kind, name, value):
    with pytest.raises(ValueError, match=f"{name} must be positive, got"):
        kind(value)


# Mass damping


@pytest.mark.parametrize("c", [0.1, 10.0, 1e4])
def test_damped_velocities_decay_exactly_however_the_time_is_split(c):
    v, duration = torch.randn(5, 3), 0.03
    exact = v * math.exp(-c * duration)
    for steps in (1, 7, 100):
        w = v
        for _ in range(steps):
            w = apply(MassDamping(c), w, duration / steps)
        # One rounding a step, and those of c through its logarithm times c t.
        assert torch.allclose(w, exact, rtol=1e-15 * (steps + 20 * max(1, c * duration)), atol=0)


def test_a_damping_time_constant_takes_a_factor_of_e():
    assert apply(MassDamping(4.0), torch.ones(1, 3), 0.25)[0, 0].item() == pytest.approx(
        1 / math.e, rel=1e-15
    )


# Velocity clamp


def test_the_clamp_is_the_speed_times_tanh_of_the_limit_over_it():
    limit, v = 0.7, torch.randn(100, 3)
    v[:50] *= 20
    expected = v * torch.tanh(limit / v.norm(dim=-1, keepdim=True))
    # The speed is bounded from below by 1e-6 of the limit, which shifts it by 1e-12 / 2 (v_max / v)² where
    # tanh is not one already, at v > v_max / 20: by 2e-10 times a slope of 20 / cosh² 20, and 1e-12 at v_max.
    assert torch.allclose(apply(SmoothVelocityClamp(limit), v), expected, rtol=2e-12, atol=0)


def test_no_speed_reaches_the_limit():
    v = torch.randn(1000, 3) * 10 ** (8 * torch.rand(1000, 1) - 2)
    # At |v| = 1e6 v_max the distance to the limit, (v_max/v)²/3, is below the rounding.
    assert (apply(SmoothVelocityClamp(0.7), v).norm(dim=-1) <= 0.7 * (1 + 1e-15)).all()


def test_the_clamp_takes_what_its_documentation_says():
    v = torch.tensor([[0.4, 0.0, 0.0]])
    taken = 1 - apply(SmoothVelocityClamp(1.0), v)[0, 0].item() / 0.4
    assert taken == pytest.approx(1 - math.tanh(2.5), rel=1e-9)
    assert round(100 * taken, 1) == 1.3


@pytest.mark.parametrize("dt", [1e-6, 1e-2, 10.0])
def test_the_clamp_does_not_depend_on_the_step(dt):
    v = torch.randn(5, 3)
    assert torch.equal(apply(SmoothVelocityClamp(1.0), v, dt), apply(SmoothVelocityClamp(1.0), v, 1.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("speed", [0.0, 1e-30, 1e-10, 1e-7, 1e-6, 1e-5, 1e-3])
def test_slow_vertices_are_untouched_with_derivative_one(dtype, speed):
    clamp = SmoothVelocityClamp(1.0).to(dtype)
    v = torch.tensor([[speed, 0.0, 0.0]], dtype=dtype)
    assert torch.equal(apply(clamp, v), v)
    J = torch.autograd.functional.jacobian(lambda v: apply(clamp, v), v).reshape(3, 3)
    assert torch.equal(J, torch.eye(3, dtype=dtype))
    H = torch.autograd.functional.hessian(lambda v: apply(clamp, v).sum(), v)
    assert torch.equal(H, torch.zeros_like(H))
