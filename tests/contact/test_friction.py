"""Coulomb friction in steps: sliding, sticking, creeping, being carried along, and what it must not do."""

import functools
import math

import pytest
import torch
from support.grounds import Cushion, Press
from support.scenes import noise

from simlayer import (
    BDF2,
    BackwardEuler,
    CoulombFriction,
    ElasticForce,
    Equilibrium,
    Newmark,
    NewtonSolver,
    RolloutModule,
    StableNeoHookean,
    State,
    StepContext,
    SymplecticEuler,
    box_mesh,
)

pytestmark = pytest.mark.usefixtures("float64")

GRAVITY, MU = 9.81, 0.5
STEPS = [SymplecticEuler, BackwardEuler, BDF2, Newmark]
every_step = pytest.mark.parametrize("kind", STEPS)


def block(kind, dt, *, mu=MU, angle=0.0, threshold=1e-3, belt=0.0):
    """A block on a plane that is inclined along x, each vertex of which carries its own weight."""
    mesh = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1))
    slope = math.radians(angle)
    gravity = (GRAVITY * math.sin(slope), 0.0, -GRAVITY * math.cos(slope))
    masses = kind(mesh, {}, dt=1.0).vertex_masses
    press = Press(GRAVITY * math.cos(slope) * masses, belt=belt)
    friction = CoulombFriction("ground", coefficient=mu, threshold_speed=threshold)
    return kind(mesh, {"ground": press}, dt=dt, gravity=gravity, dissipation={"friction": friction})


def slid(step, speed, duration):
    """How far the block has moved along x after a time, and its velocity then."""
    x = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1)).vertices
    start = State(x, torch.tensor([speed, 0.0, 0.0]).expand_as(x))
    end = RolloutModule(step, round(duration / step.dt), checkpoint="none", compile=False)(start)
    return float((end.positions - x)[:, 0].mean()), float(end.velocities[:, 0].mean())


# Sliding and sticking


@every_step
def test_a_sliding_block_stops_where_coulomb_says_in_the_first_order_of_the_step(kind):
    # Below the threshold it creeps on for threshold²/(mu g), 2e-11 m here.
    distances = [slid(block(kind, dt, threshold=1e-5), 1.0, 0.224)[0] for dt in (8e-3, 4e-3, 2e-3)]
    exact = 1 / (2 * MU * GRAVITY)
    assert exact == pytest.approx(0.101937, abs=5e-7)
    coarse, middle, fine = (abs(distance - exact) for distance in distances)
    if kind in (BDF2, Newmark):  # whose positions follow a parabola: only the step in which it stops is wrong
        assert max(coarse / 16, middle / 4, fine) < MU * GRAVITY * 2e-3**2
    else:
        assert coarse / middle == pytest.approx(2, rel=0.02)
        assert middle / fine == pytest.approx(2, rel=0.02)
        assert 2 * distances[2] - distances[1] == pytest.approx(exact, abs=5e-6)


@every_step
def test_a_sliding_block_stops_when_coulomb_says(kind):
    stop = 1 / (MU * GRAVITY)
    assert stop == pytest.approx(0.203874, abs=5e-7)
    step = block(kind, stop / 50, threshold=1e-5)
    # The velocity is linear in time until then, and below the threshold after.
    assert slid(step, 1.0, 0.98 * stop)[1] == pytest.approx(0.02, abs=1e-9)
    assert abs(slid(step, 1.0, 1.02 * stop)[1]) < 1e-5


@every_step
def test_a_block_below_the_friction_cone_creeps_as_the_formula_says(kind):
    threshold = 1e-3
    _, velocity = slid(block(kind, 1e-3, angle=20, threshold=threshold), 0.0, 0.02)
    assert velocity / threshold == pytest.approx(1 - math.sqrt(1 - math.tan(math.radians(20)) / MU), abs=1e-9)
    assert velocity / threshold == pytest.approx(0.478407, abs=1e-6)


@every_step
@pytest.mark.parametrize("angle", [5.0, 15.0, 26.0, 27.2, 35.0, 60.0])
def test_a_block_on_an_incline_slips_if_the_slope_is_above_the_coefficient(kind, angle):
    slope, duration = math.radians(angle), 0.1
    step = block(kind, 5e-3, angle=angle)
    _, velocity = slid(step, 0.0, duration)
    if math.tan(slope) > MU:
        expected = GRAVITY * (math.sin(slope) - MU * math.cos(slope)) * duration
        # Below the threshold friction is less than that, and at the start, which BDF2 takes for the step
        # before, there is none.
        sooner = MU * GRAVITY * step.dt / 2 if kind is BDF2 else 1e-3
        assert expected - 1e-9 <= velocity <= expected + sooner
    else:
        assert 0 < velocity < 1e-3


@every_step
@pytest.mark.parametrize("dt", [1e-4, 1e-2, 0.1, 10.0])
def test_a_block_comes_to_rest_in_steps_of_any_length(kind, dt):
    # Friction that is taken from the start of the step is unstable beyond 2e-4 s.
    step, velocity = block(kind, dt), 1.0
    x = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1)).vertices
    state = step.start(State(x, torch.tensor([velocity, 0.0, 0.0]).expand_as(x)))
    for _ in range(5 if dt > 1 / (MU * GRAVITY) else 10):
        state = step(state)
        now = float(state.velocities[:, 0].mean())
        # Only BDF2 overshoots, within the threshold; the rest is rounding.
        assert (-1e-3 if kind is BDF2 else -1e-12) <= now <= max(velocity, 1e-3 if kind is BDF2 else 1e-12)
        velocity = now
    if dt * MU * GRAVITY > 1:
        assert velocity < 1e-3


@every_step
def test_a_belt_carries_a_block_along_until_it_is_as_fast(kind):
    belt = 0.5
    step = block(kind, 5e-3, belt=belt)
    assert slid(step, 0.0, 0.05)[1] == pytest.approx(MU * GRAVITY * 0.05, rel=1e-9)
    # As the rest of the difference to it decays, within a threshold.
    assert slid(step, 0.0, 0.15)[1] == pytest.approx(belt, abs=1e-6)


def test_newtons_method_finds_the_end_of_a_step_between_two_mirrored_slopes():
    # As fast as the belt: sliding a little slower and a little faster have the same energy, and Newton's
    # direction leads from one to the other.
    step = block(BackwardEuler, 1e-3, belt=0.5)
    x = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1)).vertices
    velocities = torch.tensor([0.5, 0.0, 0.0]).expand_as(x)
    assert torch.allclose(step(State(x, velocities)).velocities, velocities, rtol=0, atol=1e-9)


def test_the_gradient_to_the_speed_of_a_belt_is_one_once_the_block_moves_with_it():
    step = block(SymplecticEuler, 1e-3)
    x = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1)).vertices
    belt = torch.tensor([0.2, 0.1, 0.0], requires_grad=True)
    end = RolloutModule(step, 100)(State.at_rest(x), {"forces.ground.belt_velocities": belt})
    (gradient,) = torch.autograd.grad(end.velocities[:, 0].mean(), belt)
    assert torch.allclose(gradient, torch.tensor([1.0, 0.0, 0.0]), atol=1e-9)


# Conservation


def rubbing(press):
    """Friction with a ground, without a step."""
    friction = CoulombFriction("ground", coefficient=0.7)
    friction.connect(torch.nn.ModuleDict({"ground": press}))
    return friction


def test_friction_never_adds_energy():
    count = 10_000
    normals = torch.nn.functional.normalize(noise(count, 3, seed=1), dim=-1)
    magnitudes = 10 ** (8 * torch.rand(4, count) - 4)
    velocities = noise(count, 3, seed=2) * magnitudes[0][:, None]
    press = Press(magnitudes[1], normals)
    friction = rubbing(press)
    for dt in (1e-6, 1e-3, 1.0):
        around = StepContext(dt, magnitudes[2])
        after = friction(State.at_rest(torch.zeros(count, 3)), velocities, around)
        # Rounding of a sum of three squares.
        assert (after.square().sum(-1) <= velocities.square().sum(-1) * (1 + 1e-14)).all()
    lagged = friction.term(torch.zeros(count, 3), torch.zeros(count, 3))
    power = (lagged.gradient(velocities) * velocities).sum(-1)
    assert (power >= -1e-13 * lagged.gradient(velocities).norm(dim=-1) * velocities.norm(dim=-1)).all()


def body(kind, dt, *, belt=0.0, stiffness=3e4, **options):
    """A soft box that has sunk into soft ground, on which it slides and turns."""
    mesh = box_mesh(cells=(2, 1, 1), size=(0.1, 0.05, 0.05))
    elastic = ElasticForce(mesh, StableNeoHookean(youngs_modulus=1e4, poissons_ratio=0.3))
    forces = {"elastic": elastic, "ground": Cushion(stiffness, belt=belt)}
    friction = {"friction": CoulombFriction("ground", coefficient=0.4, threshold_speed=0.02)}
    gravity = (0.0, 0.0, -GRAVITY)
    return kind(mesh, forces, dt=dt, gravity=gravity, dissipation=friction, **options)


def sliding(*batch):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.1, 0.05, 0.05))
    x = mesh.vertices - torch.tensor([0.0, 0.0, 6e-3])
    v = torch.tensor([0.3, 0.1, 0.0]) + 0.03 * noise(*batch, *x.shape, seed=4)
    return State(x.expand_as(v), v)


@pytest.mark.parametrize("kind", [SymplecticEuler, BackwardEuler])
def test_momentum_changes_by_weight_and_the_reaction_of_the_ground(kind):
    # Implicit steps are as exact as Newton's method is told to be.
    exact = {"newton": NewtonSolver(tolerance=1e-10)} if kind is BackwardEuler else {}
    tolerance = 1e-12 if kind is BackwardEuler else 1e-13
    step, state = body(kind, 1e-3, **exact), sliding()
    coefficient, ground = step.dissipation["friction"].coefficient, step.forces["ground"]
    masses = step.vertex_masses[:, None]
    for _ in range(20):
        end = step(state)
        touch = ground.contact_state(state.positions)
        # The reaction in words: mu N f1(speed) against the velocity along the plane at the end of the step.
        along = end.velocities * torch.tensor([1.0, 1.0, 0.0])
        y = along.norm(dim=-1, keepdim=True) / 0.02
        secant = torch.where(y < 1, 2 - y, 1 / y) / 0.02
        friction = -coefficient * touch.normal_force[:, None] * secant * along
        pushed = ground(state if kind is SymplecticEuler else end)
        reaction = (pushed + friction).sum(0) + masses.sum() * step.gravity
        change = (masses * (end.velocities - state.velocities)).sum(0)
        # Of a momentum of 0.1 kg m/s.
        assert torch.allclose(change, step.dt * reaction, rtol=0, atol=tolerance)
        state = end


# Explicit and implicit steps


@functools.cache
@torch.no_grad()
def after_20_ms(kind, steps):
    return RolloutModule(body(kind, 0.02 / steps), steps, compile=False)(sliding()).positions


@pytest.mark.parametrize("kind", [BackwardEuler, BDF2, Newmark])
def test_implicit_steps_approach_explicit_ones_as_dt_shrinks(kind):
    exact = 2 * after_20_ms(SymplecticEuler, 400) - after_20_ms(SymplecticEuler, 200)
    coarse, fine = (float((after_20_ms(kind, steps) - exact).norm()) for steps in (10, 20))
    assert float((exact - sliding().positions).norm()) > 10 * fine
    assert coarse / fine > 1.7


def test_a_rotated_scene_moves_as_before():
    # No axis is special in the plane, nor in space.
    turn = torch.linalg.matrix_exp(torch.tensor([[0.0, -1.0, 0.5], [1.0, 0.0, 2.0], [-0.5, -2.0, 0.0]]))
    normal, count = torch.tensor([0.0, 0.0, 1.0]), 50
    v = noise(count, 3)

    def after(v, normal):
        press = Press(torch.rand(count, generator=torch.Generator().manual_seed(1)), normal.expand(count, 3))
        around = StepContext(1e-2, torch.ones(count))
        return rubbing(press)(State.at_rest(torch.zeros(count, 3)), v, around)

    assert torch.allclose(after(v @ turn.T, turn @ normal), after(v, normal) @ turn.T, rtol=0, atol=1e-14)


# Gradients

NAMES = [
    "dissipation.friction.log_coefficient",
    "forces.ground.log_stiffness",
    "forces.ground.belt_velocities",
    "forces.elastic.material.log_youngs_modulus",
    "log_density",
    "gravity",
]


def losses(rollout, state, parameters):
    end = rollout(state, parameters)
    weights = noise(*end.positions.shape[-2:], seed=9)
    return (end.positions * weights).sum((-1, -2)) + 0.1 * (end.velocities * weights).sum((-1, -2))


def agrees(loss, value, h):
    """Whether the gradient of a loss along a direction is its central difference."""
    value = value.detach().clone().requires_grad_()
    change = noise(*value.shape, seed=5).abs() + 0.1
    (gradient,) = torch.autograd.grad(loss(value), value)
    with torch.no_grad():
        above, below = loss(torch.stack([value + h * change, value - h * change])).tolist()
    # A function whose second derivatives jump where a vertex begins to slip.
    return float((gradient * change).sum()) == pytest.approx((above - below) / (2 * h), rel=1e-4, abs=1e-9)


@every_step
def test_gradients_equal_central_differences(kind):
    step = body(kind, 4e-3, belt=0.05)
    rollout, state = RolloutModule(step, 3, checkpoint="none", compile=False), sliding()
    parameters = {name: p.reshape(-1) for name, p in step.named_parameters()}
    for name in NAMES:
        assert agrees(lambda p, n=name: losses(rollout, state, {n: p}), parameters[name], 1e-6), name
    assert agrees(lambda x: losses(rollout, State(x, state.velocities), {}), state.positions, 1e-7)
    assert agrees(lambda v: losses(rollout, State(state.positions, v), {}), state.velocities, 1e-6)


@every_step
def test_checkpointed_gradients_are_the_same(kind):
    step, state, found = body(kind, 4e-3, belt=0.05), sliding(), []
    for checkpoint in ("none", 2):
        rollout = RolloutModule(step, 3, checkpoint=checkpoint, compile=False)
        inputs = [dict(step.named_parameters())[name].detach().clone().requires_grad_() for name in NAMES]
        loss = losses(rollout, state, dict(zip(NAMES, inputs, strict=True)))
        found.append(torch.autograd.grad(loss, inputs))
    # Sums may be taken in another order.
    assert all(torch.allclose(plain, again, rtol=1e-12) for plain, again in zip(*found, strict=True))


@every_step
def test_a_batch_of_coefficients_is_as_one_by_one_with_their_gradients(kind):
    rollout = RolloutModule(body(kind, 4e-3), 3, compile=False)
    state, values = sliding(3), torch.tensor([[0.05], [0.4], [1.5]]).log().requires_grad_()
    name = "dissipation.friction.log_coefficient"
    together = losses(rollout, state, {name: values})
    (gradient,) = torch.autograd.grad(together.sum(), values)
    for k in range(3):
        one = State(state.positions[k], state.velocities[k])
        value = values[k].detach().clone().requires_grad_()
        alone = losses(rollout, one, {name: value})
        # Newton's method ends at 1e-6 of the forces, and is mostly much better.
        assert float(together[k].detach()) == pytest.approx(float(alone.detach()), rel=1e-7)
        (expected,) = torch.autograd.grad(alone, value)
        assert torch.allclose(gradient[k], expected, rtol=1e-6)


def test_the_second_derivatives_of_a_short_rollout_are_exact():
    rollout = RolloutModule(body(SymplecticEuler, 2e-3), 3, checkpoint="none", compile=False)
    name, state = NAMES[0], sliding()
    assert torch.autograd.gradgradcheck(
        lambda p: losses(rollout, state, {name: p}), torch.zeros(1).requires_grad_()
    )


@pytest.mark.parametrize("kind", [SymplecticEuler, BackwardEuler])
def test_single_precision_follows_double(kind):
    step, state = body(kind, 2e-3), sliding()
    double = RolloutModule(step, 10, compile=False)(state).positions
    single = RolloutModule(step.to(torch.float32), 10, compile=False)(state.to(torch.float32)).positions
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), double, rtol=0, atol=2e-6)


# What is refused


def test_a_contact_that_does_not_exist_is_named_with_the_nearest():
    mesh = box_mesh(cells=(1, 1, 1))
    with pytest.raises(ValueError, match=r"CoulombFriction refers to a force 'gruond' .*mean 'ground'\?"):
        SymplecticEuler(
            mesh,
            {"ground": Cushion(1.0)},
            dt=1e-3,
            dissipation={"friction": CoulombFriction("gruond", coefficient=0.5)},
        )


def test_a_force_that_is_no_contact_is_refused():
    mesh = box_mesh(cells=(1, 1, 1))
    elastic = ElasticForce(mesh, StableNeoHookean(1e5, 0.4))
    friction = CoulombFriction("elastic", coefficient=0.5)
    with pytest.raises(ValueError, match=r"needs a contact, .*'elastic' is ElasticForce"):
        SymplecticEuler(mesh, {"elastic": elastic}, dt=1e-3, dissipation={"friction": friction})


def test_an_equilibrium_refuses_friction_by_name():
    with pytest.raises(ValueError, match="no velocities: leave out dissipation friction"):
        body(Equilibrium, 1.0)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_values_that_are_not_positive_are_refused_by_name(value):
    with pytest.raises(ValueError, match="coefficient must be positive"):
        CoulombFriction("ground", coefficient=value)
    with pytest.raises(ValueError, match="threshold_speed must be a positive finite number in m/s"):
        CoulombFriction("ground", coefficient=0.5, threshold_speed=value)
