"""Bodies that land, rest, bounce and are pushed: motion, balance of momentum and energy, gradients."""

import math

import pytest
import torch
from support.contacts import (
    ACTIVATION,
    KAPPA_NAME,
    OBSTACLES,
    PLACE_NAME,
    block,
    dropped,
    falling,
    lone_vertices,
    weights_like,
)
from support.scenes import E_NAME, same
from torch import Tensor

from simlayer import (
    BDF2,
    BackwardEuler,
    BarrierContact,
    ElasticForce,
    Equilibrium,
    HalfSpace,
    Newmark,
    RolloutModule,
    SparseDirect,
    StableNeoHookean,
    State,
    box_mesh,
    check_gradients,
    obstacle_controls,
)

pytestmark = pytest.mark.usefixtures("float64")


def loss(state: State) -> Tensor:
    return (state.positions * weights_like(state.positions)).sum()


def bounce(share: float) -> tuple[Tensor, Tensor, Tensor]:
    """Velocities after, and derivatives of heights after by heights before, of point masses at 1 m/s.

    They come nearer by a share of d̂ in a step; the barrier stops the heaviest at a fifth of d̂.
    """
    step = lone_vertices(kappa=1.0, dt=share * 1e-3)
    contact, low = step.forces["contact"], step.elements.connectivity.new_tensor([0, 2, 4, 6])
    kappa = contact.stiffness_to_stop(float((step.vertex_masses / contact.areas)[low].max()) / 2)
    heights = (3e-3 + 1e-3 * share * torch.linspace(0, 1, 20))[:, None].requires_grad_()
    x = block(0.0).vertices.new_zeros(20, 8, 3) + box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1)).vertices
    x = x + heights[..., None] * torch.tensor([0.0, 0.0, 1.0])
    start = State(x, torch.tensor([0.0, 0.0, -1.0]).expand_as(x))
    steps = round(6e-3 / step.dt)
    end = RolloutModule(step, steps, compile=False)(start, {KAPPA_NAME: torch.tensor(math.log(kappa))})
    slopes = [torch.autograd.grad(end.positions[:, v, 2].sum(), heights, retain_graph=True)[0] for v in low]
    return end.velocities[:, low, 2].detach(), torch.cat(slopes, 1), end.positions[:, low, 2].detach()


def test_an_elastic_bounce_returns_the_speed_and_reverses_a_shift_of_the_height():
    speed, slope, height = bounce(0.05)
    assert (height > 1e-3).all(), "all have left"
    assert (speed - 1).abs().max() < 2e-3
    assert (slope + 1).abs().max() < 2e-2


def test_a_bounce_in_coarser_steps_is_worse_and_converges():
    errors = [float((bounce(share)[1] + 1).abs().max()) for share in (0.1, 0.05, 0.025)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 5e-3


@pytest.mark.parametrize("name", OBSTACLES)
def test_the_momentum_changes_by_gravity_and_by_what_the_obstacle_takes_up(name):
    step = dropped(name)
    trajectory = RolloutModule(step, 100).trajectory(falling())
    masses = step.vertex_masses[:, None]
    momentum = (masses * trajectory.velocities).sum(1)
    reaction = -step.forces["contact"](State(trajectory.positions, trajectory.velocities)).sum(1)
    assert reaction.abs().max() > 10, "it has landed"
    impulse = step.dt * (masses.sum() * step.gravity - reaction[:-1])
    assert torch.allclose(momentum.diff(dim=0), impulse, rtol=0, atol=1e-12)


def test_the_energy_of_a_landing_is_kept():
    step = dropped(dt=1e-4)
    trajectory = RolloutModule(step, 600).trajectory(falling(speed=0.3))
    x, v = trajectory.positions, trajectory.velocities
    masses = step.vertex_masses[:, None]
    total = (masses * (0.5 * v.square() + 9.81 * x[..., 2:] / 3)).sum((1, 2))
    total = total + step.forces["elastic"].energy(x) + step.forces["contact"].energy(x)
    assert step.forces["contact"].energy(x).max() > 1e-3
    # Symplectic Euler keeps an energy that differs from this one by a part of the order of the step.
    kinetic = 0.5 * (masses * v[0].square()).sum()
    assert (total - total[0]).abs().max() < 0.05 * kinetic
    assert (total[-1] - total[0]).abs() < 0.02 * kinetic


GRADIENTS = [E_NAME, KAPPA_NAME, PLACE_NAME, "positions", "velocities", "gravity"]
OWN = {
    "half-space": ["normal", "rotation"],
    "sphere": ["log_radius"],
    "box": ["log_size", "rotation"],
}


def names_for(name: str) -> list[str]:
    return GRADIENTS + [f"forces.contact.obstacle.{own}" for own in OWN[name]]


@pytest.mark.parametrize("name", OBSTACLES)
def test_gradients_of_an_explicit_landing_equal_differences(name):
    rollout = RolloutModule(dropped(name, dt=3e-4), 60, checkpoint="none", compile=False)
    # Smaller differences than usual: the place of an obstacle counts in activation distances. Third
    # derivatives jump where the barrier begins, which differences notice.
    report = check_gradients(rollout, falling(), loss, names_for(name), steps=(1e-5, 1e-6), tolerance=1e-5)
    assert report.passed, str(report)


# Every obstacle and every step, but not all of their pairs.
PAIRS = pytest.mark.parametrize(
    ("name", "kind"), [("half-space", BackwardEuler), ("sphere", Newmark), ("box", BDF2)]
)


@PAIRS
def test_gradients_of_an_implicit_landing_equal_differences(name, kind):
    rollout = RolloutModule(dropped(name, kind, dt=4e-3), 6)
    names = [KAPPA_NAME, PLACE_NAME, "positions", *names_for(name)[6:]]
    report = check_gradients(rollout, falling(), loss, names, steps=(1e-5,), tolerance=1e-5)
    assert report.passed, str(report)


def test_what_is_supplied_batched_and_checkpointed_has_the_gradients_of_its_own_values():
    step, start = dropped("sphere"), falling()
    kappas = torch.tensor([1e4, 2e4, 5e4]).log()[:, None]
    places = step.forces["contact"].obstacle.translation + 1e-3 * torch.randn(3, 3)

    def run(kappa: Tensor, place: Tensor, **options) -> tuple[Tensor, Tensor, Tensor]:
        kappa, place = kappa.clone().requires_grad_(), place.clone().requires_grad_()
        end = RolloutModule(step, 60, compile=False, **options)(start, {KAPPA_NAME: kappa, PLACE_NAME: place})
        value = (end.positions * weights_like(start.positions)).sum()
        return end.positions.detach(), *torch.autograd.grad(value, (kappa, place))

    plain = run(kappas, places, checkpoint="none")
    for a, b in zip(plain, run(kappas, places, checkpoint="sqrt"), strict=True):
        assert torch.equal(a, b)
    for k in range(3):
        for a, b in zip(plain, run(kappas[k], places[k], checkpoint=7), strict=True):
            assert torch.allclose(a[k], b, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("kind", [None, Newmark])
def test_so_many_steps_and_so_many_more_are_twice_as_many(kind):
    step = dropped() if kind is None else dropped(kind=kind, dt=4e-3)
    half, whole = (RolloutModule(step, count, compile=False) for count in (4, 8))
    assert same(half(half(falling(speed=1.0))), whole(falling(speed=1.0)))


def test_a_rollout_without_checks_makes_the_same_motion():
    checked, free = (RolloutModule(dropped(), 60, validate=v, compile=False) for v in (True, False))
    assert same(checked(falling()), free(falling()))
    assert checked(falling()).history == ()


def pressed(s: float) -> float:
    """Minus the slope of the linear barrier."""
    return (1 - s) * (1 / s - 1 - 2 * math.log(s))


def test_a_block_rests_where_the_barrier_bears_its_weight():
    # One cell, whose four lower corners share the weight alike.
    mesh = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1), origin=(0.0, 0.0, 1e-3), element="hex8")
    contact = BarrierContact(mesh, HalfSpace(), stiffness=1e4, activation_distance=2e-3)
    low = mesh.vertex_sets["z_min"]
    held = torch.zeros(8, 3, dtype=torch.bool)
    held[low, :2] = True  # no more than slides and turns
    elastic = ElasticForce(mesh, StableNeoHookean(1e5, 0.3))
    step = Equilibrium(mesh, {"elastic": elastic, "contact": contact}, gravity=(0, 0, -9.81), fixed=held)
    heights = step(State.at_rest(mesh.vertices)).positions[low, 2]
    weight, area = 1000 * 1e-3 * 9.81, float(contact.areas[low].sum())
    below, above = 1e-3, 1 - 1e-3
    for _ in range(60):  # bisection
        middle = (below + above) / 2
        below, above = (middle, above) if area * 1e4 * pressed(middle) > weight else (below, middle)
    assert torch.allclose(heights, torch.full((4,), below * 2e-3), rtol=1e-6)


def resting(cells: int, element: str = "hex8") -> tuple[Equilibrium, State]:
    """A soft block on the floor under its weight, of which two corners are kept from sliding away."""
    mesh = box_mesh(cells=(cells,) * 3, size=(0.1, 0.1, 0.1), origin=(0.0, 0.0, 1e-3), element=element)
    contact = BarrierContact(mesh, HalfSpace(), stiffness=1e4, activation_distance=2e-3)
    held = torch.zeros(len(mesh.vertices), 3, dtype=torch.bool)
    held[nearest(mesh.vertices, (0.0, 0.0, 0.0)), :2] = True
    held[nearest(mesh.vertices, (0.1, 0.0, 0.0)), 1] = True
    elastic = ElasticForce(mesh, StableNeoHookean(1e4, 0.3))
    forces = {"elastic": elastic, "contact": contact}
    step = Equilibrium(mesh, forces, gravity=(0, 0, -9.81), fixed=held, solver=SparseDirect())
    return step, State.at_rest(mesh.vertices)


def nearest(x: Tensor, point: tuple[float, ...]) -> int:
    return int((x - torch.tensor(point)).norm(dim=-1).argmin())


@pytest.mark.parametrize("element", ["tet4", "hex8"])
def test_refining_the_mesh_changes_the_resting_deformation_by_less_than_a_per_cent(element):
    sags = []
    for cells in (2, 4):
        step, start = resting(cells, element)
        top = nearest(start.positions, (0.05, 0.05, 0.101))
        sags.append(float(step(start).positions[top, 2]) - 0.101)
    assert sags[0] == pytest.approx(sags[1], rel=1e-2)
    assert sags[1] < -4e-3


def test_gradients_of_an_equilibrium_on_a_floor_equal_differences():
    step, start = resting(2)
    report = check_gradients(
        RolloutModule(step, 1), start, loss, [E_NAME, KAPPA_NAME, PLACE_NAME, "gravity"], steps=(1e-5,)
    )
    assert report.passed, str(report)


def lifted(steps: int, dt: float) -> Tensor:
    """A path of the floor: up by 15 mm, smoothly."""
    t = torch.linspace(0, 1, steps + 1)
    path = torch.zeros(steps + 1, 3)
    path[:, 2] = 0.015 * t * t * (3 - 2 * t)
    return path


@pytest.mark.parametrize(("kind", "dt", "steps"), [(None, 4e-4, 150), (Newmark, 4e-3, 15)])
def test_a_floor_that_rises_lifts_a_body_with_the_gradient_of_its_path(kind, dt, steps):
    step = dropped(dt=dt) if kind is None else dropped(kind=kind, dt=dt)
    rollout = RolloutModule(step, steps, compile=False)
    path = lifted(steps, dt)
    turns = 0.02 * path / 0.015
    direction, turning = torch.randn_like(path), torch.randn_like(turns)
    start = State(block().vertices - torch.tensor([0.0, 0.0, 4e-3]), torch.zeros(12, 3))

    def value(path: Tensor, turns: Tensor) -> Tensor:
        controls = obstacle_controls(path, step.dt, explicit=step.explicit, rotations=turns)
        return loss(rollout(start, controls=controls))

    path.requires_grad_()
    turns.requires_grad_()
    slopes = torch.autograd.grad(value(path, turns), (path, turns))
    found = float((slopes[0] * direction).sum() + (slopes[1] * turning).sum())
    h = 1e-7
    with torch.no_grad():
        ends = [value(path + s * h * direction, turns + s * h * turning) for s in (1, -1)]
    assert float(ends[0] - ends[1]) / (2 * h) == pytest.approx(found, rel=1e-5)
    controls = obstacle_controls(path.detach(), step.dt, explicit=step.explicit, rotations=turns.detach())
    assert rollout(start, controls=controls).velocities[:, 2].mean() > 0.05, "it was lifted"


@PAIRS
def test_implicit_steps_let_nothing_through_however_long_they_are(name, kind):
    # It comes nearer by 13 activation distances a step.
    step = dropped(name, kind, dt=2e-2)
    trajectory = RolloutModule(step, 6).trajectory(falling(speed=2.0))
    distances = step.forces["contact"].distances(trajectory.positions)
    assert (distances > 0).all()
    assert (distances < ACTIVATION).any()
    assert trajectory.positions.isfinite().all()


def test_samples_of_an_implicit_landing_do_not_depend_on_one_another():
    step = dropped("sphere", Newmark, dt=4e-3)
    start = State(falling(3).positions, falling(3).velocities * torch.tensor([0.2, 1.0, 2.0])[:, None, None])
    rollout = RolloutModule(step, 10)
    together = rollout(start)
    for k in range(3):
        alone = rollout(State(start.positions[k], start.velocities[k]))
        assert torch.allclose(together.positions[k], alone.positions, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("name", "dt"), [("half-space", 2e-3), ("half-space", 2e-2), ("box", 2e-2)])
def test_newmark_gains_no_energy_where_a_body_bounces(name, dt):
    step = dropped(name, Newmark, dt=dt, gravity=(0.0, 0.0, 0.0))
    trajectory = RolloutModule(step, max(round(0.04 / dt), 4)).trajectory(falling(speed=2.0))
    x, v = trajectory.positions, trajectory.velocities
    contact = step.forces["contact"].energy(x)
    kinetic = 0.5 * (step.vertex_masses[:, None] * v.square()).sum((1, 2))
    total = kinetic + step.forces["elastic"].energy(x) + contact
    assert (contact > 0).any(), "it has landed"
    # Of elasticity that is not linear, average acceleration keeps the energy but for a few per cent.
    assert total.max() < 1.01 * total[0]


def test_a_body_at_rest_on_a_floor_stays_there_in_steps_of_newmark():
    mesh = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1), origin=(0.0, 0.0, 1e-3), element="hex8")
    contact = BarrierContact(mesh, HalfSpace(), stiffness=1e4, activation_distance=2e-3)
    forces = {"elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.3)), "contact": contact}
    options = {"gravity": (0.0, 0.0, -9.81), "fixed": torch.tensor([True, True, False]).expand(8, 3)}
    rest = Equilibrium(mesh, forces, **options)(State.at_rest(mesh.vertices))
    step = Newmark(mesh, forces, dt=1e-2, mass_matrix="consistent", **options)
    end = RolloutModule(step, 5)(State.at_rest(rest.positions))
    torch.testing.assert_close(end.positions, rest.positions, rtol=0, atol=1e-9)
    torch.testing.assert_close(end.velocities, torch.zeros(8, 3), rtol=0, atol=1e-6)
