"""Friction on barrier contacts: planes and spheres, at rest and moving, in explicit and implicit steps."""

import pytest
import torch
from support.scenes import noise

from simlayer import (
    BackwardEuler,
    BarrierContact,
    CoulombFriction,
    ElasticForce,
    HalfSpace,
    Newmark,
    NewtonSolver,
    RolloutModule,
    Sphere,
    StableNeoHookean,
    State,
    StVenantKirchhoff,
    SymplecticEuler,
    box_mesh,
    obstacle_controls,
)

pytestmark = pytest.mark.usefixtures("float64")

GRAVITY, MU, GAP = 9.81, 0.5, 2e-3
SIZE = (0.1, 0.1, 0.05)


def scene(kind, dt, obstacle, *, threshold=1e-2, **options):
    mesh = box_mesh(cells=(1, 1, 1), size=SIZE)
    forces = {
        "elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.3)),
        "contact": BarrierContact(mesh, obstacle, stiffness=1e4, activation_distance=GAP),
    }
    friction = {"friction": CoulombFriction("contact", coefficient=MU, threshold_speed=threshold)}
    return kind(mesh, forces, dt=dt, gravity=(0.0, 0.0, -GRAVITY), dissipation=friction, **options)


def floor():
    """Where its barrier carries the weight of the block."""
    return HalfSpace(point=(0.0, 0.0, -0.877 * GAP))


def ball():
    """Below a corner, which it touches, and bent so that its normals count."""
    return Sphere(center=(0.01, 0.02, -0.4 - 0.3 * GAP), radius=0.4)


def rest():
    return box_mesh(cells=(1, 1, 1), size=SIZE).vertices


@pytest.mark.parametrize(("kind", "dt"), [(SymplecticEuler, 1e-3), (BackwardEuler, 2e-3), (Newmark, 2e-3)])
def test_a_soft_block_on_a_floor_stops_where_coulomb_says(kind, dt):
    start = State(rest(), torch.tensor([1.0, 0.0, 0.0]).expand(8, 3))
    end = RolloutModule(scene(kind, dt, floor()), round(0.24 / dt), compile=False)(start)
    exact = 1 / (2 * MU * GRAVITY)
    way = float((end.positions - start.positions)[:, 0].mean())
    # Friction sets in at once, below the middle: the block rocks and shears, which takes or gives some per
    # cent of its way. Backward Euler damps that in its first steps.
    assert way == pytest.approx(exact, abs=2e-3 + (dt if kind is BackwardEuler else 0))
    assert end.velocities[:, 0].mean().abs() < 0.03


def test_a_moving_floor_carries_a_block_along():
    step = scene(BackwardEuler, 4e-3, floor())
    times = step.dt * torch.arange(51)[:, None]
    path = torch.tensor([0.0, 0.0, -0.877 * GAP]) + times * torch.tensor([0.2, 0.1, 0.0])
    controls = obstacle_controls(path, step.dt, explicit=step.explicit)
    end = RolloutModule(step, 50, compile=False)(State.at_rest(rest()), controls=controls)
    # As fast after 46 ms; then it rocks for a while.
    assert torch.allclose(end.velocities.mean(0), torch.tensor([0.2, 0.1, 0.0]), rtol=0, atol=1e-3)


def test_momentum_changes_by_weight_and_the_reaction_of_the_obstacle():
    step, threshold = scene(SymplecticEuler, 5e-4, ball()), 1e-2
    state = State(rest(), torch.tensor([0.3, 0.1, 0.0]) + 0.05 * noise(8, 3, seed=2))
    contact, masses, touched = step.forces["contact"], step.vertex_masses[:, None], 0
    for _ in range(40):
        end = step(state)
        touch = contact.contact_state(state.positions)
        n = touch.normals
        along = end.velocities - (end.velocities * n).sum(-1, keepdim=True) * n
        y = along.norm(dim=-1, keepdim=True) / threshold
        friction = -MU * touch.normal_force[:, None] * torch.where(y < 1, 2 - y, 1 / y) / threshold * along
        reaction = (touch.normal_force[:, None] * n + friction).sum(0) + masses.sum() * step.gravity
        change = (masses * (end.velocities - state.velocities)).sum(0)
        # Of a momentum of 0.1 kg m/s.
        assert torch.allclose(change, step.dt * reaction, rtol=0, atol=1e-13)
        touched += int((touch.normal_force > 0).any())
        state = end
    assert touched >= 5


NAMES = [
    "dissipation.friction.log_coefficient",
    "forces.contact.log_stiffness",
    "forces.contact.obstacle.translation",
    "forces.contact.obstacle.velocity",
    "forces.elastic.material.log_youngs_modulus",
]


def losses(rollout, state, parameters):
    end = rollout(state, parameters)
    weights = noise(*end.positions.shape[-2:], seed=9)
    return (end.positions * weights).sum((-1, -2)) + 0.1 * (end.velocities * weights).sum((-1, -2))


@pytest.mark.parametrize(("kind", "dt"), [(SymplecticEuler, 5e-4), (BackwardEuler, 2e-3), (Newmark, 2e-3)])
def test_gradients_on_a_sphere_equal_central_differences(kind, dt):
    # For differences, which are of the size of errors that a tolerance of 1e-6 allows.
    exact = {} if kind is SymplecticEuler else {"newton": NewtonSolver(tolerance=1e-10)}
    step = scene(kind, dt, ball(), **exact)
    rollout = RolloutModule(step, 6, checkpoint=3, compile=False)
    start = State(rest(), torch.tensor([0.2, 0.1, -0.1]) + 0.03 * noise(8, 3, seed=2))
    stored = dict(step.named_parameters())
    given = {name: stored[name].detach().reshape(-1) for name in NAMES}
    given |= {"positions": start.positions, "velocities": start.velocities}

    def loss(name, value):
        if name in ("positions", "velocities"):
            return losses(rollout, start._replace(**{name: value}), {})
        return losses(rollout, start, {name: value})

    for name, tensor in given.items():
        value = tensor.clone().requires_grad_()
        change = noise(*value.shape, seed=5).abs() + 0.1
        (gradient,) = torch.autograd.grad(loss(name, value), value)
        h = 1e-8 if name in ("positions", "forces.contact.obstacle.translation") else 1e-6
        with torch.no_grad():
            above, below = loss(name, torch.stack([value + h * change, value - h * change])).tolist()
        expected = (above - below) / (2 * h)
        assert abs(expected) > 1e-8, f"the scene does not depend on {name}"
        assert float((gradient * change).sum()) == pytest.approx(expected, rel=1e-4), name


@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # torch's own compiler uses it
def test_compiled_friction_on_a_barrier_has_the_gradients_of_eager_one():
    step = scene(SymplecticEuler, 5e-4, floor())
    start = State(rest(), torch.tensor([0.2, 0.1, -0.1]).expand(3, 8, 3) * torch.rand(3, 1, 1))
    found = []
    for options in ({"compile": False}, {"compile": True, "checkpoint": 4}):
        rollout = RolloutModule(step, 8, **options)
        inputs = [dict(step.named_parameters())[name].detach().clone().requires_grad_() for name in NAMES]
        loss = losses(rollout, start, dict(zip(NAMES, inputs, strict=True)))
        found.append([loss.detach(), *torch.autograd.grad(loss.sum(), inputs)])
    for eager, compiled in zip(*found, strict=True):
        assert torch.allclose(eager, compiled, rtol=1e-8, atol=1e-13)


@pytest.mark.parametrize("modulus", [2e3, 1e5])
def test_a_search_goes_not_to_and_fro_between_two_valleys_of_an_energy_that_is_not_convex(modulus):
    # St Venant-Kirchhoff softens where it is pressed, and contact stiffens at once.
    mesh = box_mesh(cells=(2, 1, 1), size=(0.06, 0.02, 0.02), element="hex20")
    plane = HalfSpace(point=(0.0, 0.0, -0.006))
    forces = {
        "elastic": ElasticForce(mesh, StVenantKirchhoff(modulus, 0.3)),
        "contact": BarrierContact(mesh, plane, stiffness=1e4, activation_distance=4e-3),
    }
    friction = {"friction": CoulombFriction("contact", coefficient=MU, threshold_speed=1e-3)}
    step = Newmark(mesh, forces, dt=4e-3, gravity=(0.0, 0.0, -GRAVITY), dissipation=friction)
    velocities = torch.tensor([[0.3, 0.0, -0.5], [0.15, 0.0, -0.25]])[:, None].expand(
        2, len(mesh.vertices), 3
    )
    end = RolloutModule(step, 20)(State(mesh.vertices.expand(2, -1, -1), velocities))
    assert bool((end.positions[..., 2] > -0.006).all())
