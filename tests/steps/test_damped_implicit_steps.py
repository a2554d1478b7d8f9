"""Damping forces, loads and masses in implicit steps: the limit of explicit ones, and gradients."""

import math

import pytest
import torch
from support.scenes import free_box, noise

from simlayer import (
    BDF2,
    BackwardEuler,
    DistributedLoad,
    KelvinVoigt,
    MassDamping,
    Newmark,
    PointMass,
    RatePotential,
    RayleighDamping,
    RolloutModule,
    SmoothVelocityClamp,
    State,
    SymplecticEuler,
    box_mesh,
)

pytestmark = pytest.mark.usefixtures("float64_throughout")

DURATION = 0.02


class Drag(RatePotential):
    """What a user writes: a resistance by its energy alone, which implicit steps only multiply with."""

    def energy(self, positions, velocities):
        return 0.5 * (velocities.square() * (1 + positions.square())).sum((-1, -2))


def body():
    return box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))


def scene(kind, steps, **forces):
    """A clamped body with a mass at its end, loaded suddenly; damped by some 10 % a radian."""
    mesh = body()
    elastic = free_box().forces["elastic"]
    forces |= {"elastic": elastic, "load": DistributedLoad(mesh, "x_max", force=(0.0, 0.0, -1.0))}
    forces |= {"viscosity": KelvinVoigt(mesh, shear_viscosity=20.0, bulk_viscosity=10.0)}
    forces |= {"rayleigh": RayleighDamping("elastic", coefficient=5e-4)}
    masses = {"weight": PointMass(mesh, "x_max", mass=0.1)}
    return kind(mesh, forces, dt=DURATION / steps, fixed="x_min", masses=masses)


def end(kind, steps):
    start = State.at_rest(body().vertices)
    return RolloutModule(scene(kind, steps), steps, checkpoint="none")(start).positions


@pytest.fixture(scope="module")
def exact(float64_throughout):
    """By extrapolation of two explicit rollouts, to 1e-8."""
    return 2 * end(SymplecticEuler, 800) - end(SymplecticEuler, 400)


@pytest.mark.parametrize(("kind", "order"), [(BackwardEuler, 1), (BDF2, 2), (Newmark, 2)])
def test_a_damped_motion_converges_to_that_of_explicit_steps_in_the_order_of_the_step(kind, order, exact):
    coarse, fine = (float((end(kind, steps) - exact).norm()) for steps in (20, 40))
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize("kind", [BackwardEuler, Newmark])
def test_gradients_equal_central_differences(kind):
    step = scene(kind, 10, drag=Drag())
    rollout, weights = RolloutModule(step, 4), noise(12, 3)
    start = State(body().vertices, noise(12, 3, seed=3))
    for name, parameter in step.named_parameters():
        if name in ("log_density", "gravity", "prescribed_velocities", "rest_positions", "vertex_gravity"):
            continue
        value, h = parameter.detach().clone().requires_grad_(), 1e-4
        change = noise(*value.shape, seed=5).abs() + 0.1

        def loss(value, name=name):
            return (rollout(start, {name: value}).positions * weights).sum()

        (gradient,) = torch.autograd.grad(loss(value), value)
        with torch.no_grad():
            expected = float(loss(value + h * change) - loss(value - h * change)) / (2 * h)
        assert float((gradient * change).sum()) == pytest.approx(expected, rel=1e-6, abs=1e-10), name


@pytest.mark.parametrize(("kind", "tolerance"), [(BackwardEuler, 1e-10), (BDF2, 1e-4), (Newmark, 1e-10)])
@pytest.mark.parametrize("mass_matrix", ["lumped", "consistent"])
def test_mass_damping_slows_a_free_body_as_an_exponential(kind, tolerance, mass_matrix):
    mesh, damping = body(), {"air": MassDamping(5.0)}
    elastic = free_box().forces["elastic"]
    step = kind(mesh, {"elastic": elastic}, dt=5e-3, dissipation=damping, mass_matrix=mass_matrix)
    velocities = torch.tensor([1.0, 0.0, 0.0]).expand_as(mesh.vertices)
    end = RolloutModule(step, 20)(State(mesh.vertices, velocities))
    # BDF2 solves for it, to the second order: (c dt)² / 12 of the exponent.
    torch.testing.assert_close(end.velocities, math.exp(-0.5) * velocities, rtol=tolerance, atol=1e-10)


def test_bdf2_refuses_a_map_that_would_contradict_its_past():
    clamp = {"limit": SmoothVelocityClamp(2.0)}
    with pytest.raises(ValueError, match=r"'limit', SmoothVelocityClamp.*Newmark"):
        BDF2(body(), {"elastic": free_box().forces["elastic"]}, dt=1e-3, dissipation=clamp)
