"""Gradients belong to the call that they are of, whatever is assigned between it and its backward pass."""

import pytest
import torch
from support.contacts import block, dropped, falling
from support.scenes import Wind, beam, moving, noise, same

from simlayer import (
    BDF2,
    BackwardEuler,
    CoulombFriction,
    DistributedLoad,
    Equilibrium,
    MassDamping,
    Newmark,
    PointMass,
    RolloutModule,
    State,
    SymplecticEuler,
)
from simlayer.quantities.named import NamedTensors

pytestmark = pytest.mark.usefixtures("float64")

STEPS = 3


def scene(kind):
    """A block that touches an obstacle, with a quantity and a setting of every kind."""
    mesh = block()
    forces = dict(dropped("half-space").forces.items())
    forces["load"] = DistributedLoad(mesh, "z_max", force=(0.1, 0.2, -1.0))
    options = {"masses": {"mass": PointMass(mesh, "z_max", mass=0.1)}}
    if kind is not Equilibrium:
        options["dissipation"] = {
            "damping": MassDamping(2.0),
            "friction": CoulombFriction("contact", coefficient=0.3, threshold_speed=0.01),
        }
    fixed = torch.arange(len(mesh.vertices)) % 4 == 3
    step = kind(mesh, forces, dt=4e-4, gravity=(0.0, 0.0, -9.81), fixed=fixed, substeps=2, **options)
    start = falling()
    return step, State(start.positions - torch.tensor([0.0, 0.0, 7e-3]), start.velocities)


def assign_everything(step):
    """Assign another value to every quantity and every number among the settings, and return their names."""
    named = NamedTensors(step)
    for entry in named.quantities.values():
        value = getattr(entry.module, entry.quantity.name).detach()
        setattr(entry.module, entry.quantity.name, 0.9 * value + (0.0 if entry.quantity.positive else -1e-3))
    settings = {}
    for path, module in named.modules.items():
        for name, value in list(vars(module).items()):
            if type(value) is float or name == "substeps":
                setattr(module, name, 2 * value)
                settings[f"{path}.{name}"] = value
    return set(named.quantities), set(settings)


def gradients(step, state, between=lambda: None, **options):
    """The gradients of a loss by the initial state, a stiffness and a load, with something done between."""
    rollout = RolloutModule(step, STEPS, compile=False, **options)
    leaves = [
        state.positions.clone(),
        state.velocities.clone(),
        torch.tensor(2e4),
        torch.tensor([0.1, 0.2, -1.0]),
    ]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    given = {"forces.contact.stiffness": leaves[2], "forces.load.force": leaves[3]}
    end = rollout(State(*leaves[:2]), given)
    loss = (end.positions * noise(*end.positions.shape)).sum() + end.velocities.square().sum()
    between()
    return torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize(
    ("kind", "checkpoint"),
    [(SymplecticEuler, checkpoint) for checkpoint in ("none", "sqrt", 2, "auto")]
    + [(kind, "none") for kind in (BackwardEuler, Newmark, BDF2, Equilibrium)]
    # Segments that are run again are the same code for all of them; one has a history.
    + [(kind, 2) for kind in (BackwardEuler, BDF2)],
)
def test_what_is_assigned_after_a_call_does_not_change_its_gradient(kind, checkpoint):
    step, state = scene(kind)
    options = {"checkpoint": checkpoint, "memory_budget": 1000 if checkpoint == "auto" else 2**30}
    expected = gradients(step, state, **options)
    quantities, settings = set(), set()

    def between():
        found = assign_everything(step)
        quantities.update(found[0])
        settings.update(found[1])

    found = gradients(step, state, between, **options)
    assert {"gravity", "density", "forces.load.force", "forces.contact.obstacle.translation"} <= quantities
    assert {".dt", ".substeps"} <= settings
    assert all(map(torch.equal, found, expected))
    assert not all(map(torch.equal, gradients(step, state, **options), expected)), "nothing was changed"


@pytest.mark.parametrize("checkpoint", ["none", "sqrt"])
def test_parts_that_are_replaced_after_a_call_do_not_change_its_gradient(checkpoint):
    step, state = scene(BackwardEuler)
    expected = gradients(step, state, checkpoint=checkpoint)

    def between():
        step.free = torch.ones_like(step.free)
        del step.forces["load"]
        step.dissipation["more"] = MassDamping(30.0)

    assert all(map(torch.equal, gradients(step, state, between, checkpoint=checkpoint), expected))
    assert step.free.all()
    assert "load" not in step.forces
    assert "more" in step.dissipation


@pytest.mark.parametrize("checkpoint", ["none", "sqrt"])
def test_several_experiments_are_fitted_in_one_loss(checkpoint):
    step, state = beam(), moving()
    rollout = RolloutModule(step, 4, checkpoint=checkpoint, compile=False)
    (modulus,) = rollout.train_only("youngs_modulus")
    losses, single = [], []
    for gravity in ([0.0, 0.0, -9.81], [3.0, 0.0, 1.0]):
        step.gravity, step.dt = gravity, 1e-4 * (1 + len(losses))
        losses.append(rollout(state).positions.square().sum())
        single += torch.autograd.grad(rollout(state).positions.square().sum(), modulus)
    (together,) = torch.autograd.grad(sum(losses), modulus)
    assert torch.allclose(together, sum(single), rtol=1e-13)


def test_a_step_by_itself_keeps_or_tells():
    step, state = scene(BackwardEuler)
    positions = state.positions.clone().requires_grad_()
    (expected,) = torch.autograd.grad(
        step(State(positions, state.velocities)).positions.square().sum(), positions
    )
    loss = step(State(positions, state.velocities)).positions.square().sum()
    assign_everything(step)
    assert torch.equal(torch.autograd.grad(loss, positions)[0], expected)


def test_a_trained_quantity_that_an_optimizer_changes_before_backward_has_the_gradient_of_the_call():
    rollout = RolloutModule(beam(), 4, checkpoint=3)
    chosen = rollout.train_only(["gravity", "youngs_modulus"])
    expected = torch.autograd.grad(rollout(moving()).positions.sum(), chosen)
    loss = rollout(moving()).positions.sum()
    with torch.no_grad():
        for parameter in chosen:
            parameter.mul_(2)
    assert all(map(torch.equal, torch.autograd.grad(loss, chosen), expected))


def test_weights_that_change_in_place_are_reported():
    step = beam(forces={"wind": Wind(2.0)})
    rollout = RolloutModule(step, 4, checkpoint=3)
    rollout.train_only("gain")
    loss = rollout(moving()).positions.sum()
    with torch.no_grad():
        step.forces["wind"].gain.mul_(2)
    with pytest.raises(RuntimeError, match="modified"):
        loss.backward()


@pytest.mark.parametrize("name", ["free", "forces.elastic.elements.gradients"])
def test_a_buffer_that_changes_in_place_before_the_backward_pass_of_an_implicit_step_is_reported(name):
    step, state = scene(BackwardEuler)
    positions = state.positions.clone().requires_grad_()
    loss = step(State(positions, state.velocities)).positions.square().sum()
    dict(step.named_buffers())[name].mul_(1)
    with pytest.raises(RuntimeError, match="modified in place"):
        loss.backward()


def test_settings_are_as_they_were_assigned_after_backward():
    step = beam()
    rollout = RolloutModule(step, 4, checkpoint=2, compile=False)
    modulus = torch.tensor(1e5, requires_grad=True)
    loss = rollout(moving(), {"youngs_modulus": modulus}).positions.sum()
    step.dt, step.gravity = 1e-5, (0.0, 0.0, 0.0)
    loss.backward()
    assert step.dt == 1e-5
    assert not step.gravity.any()
    assert same(rollout(moving()), rollout(moving()))
