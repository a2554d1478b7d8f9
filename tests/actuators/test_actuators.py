"""The contract of actuators, which a new one joins through ACTUATORS."""

import copy
import pickle

import pytest
import torch
from support.actuators import ACTUATORS, COMPILED, actuator, body, deformed, elastic
from torch.utils.checkpoint import checkpoint

from simlayer import (
    Equilibrium,
    Newmark,
    RolloutModule,
    State,
    SymplecticEuler,
    UnstableStepError,
    check_gradients,
    parameter_jacobian,
)

pytestmark = pytest.mark.usefixtures("float64_throughout")

every_actuator = pytest.mark.parametrize("name", ACTUATORS)
# Elements differ in what the tests before rollouts look at.
every_actuator_once = pytest.mark.parametrize(
    "name", [name for name in ACTUATORS if not name.endswith(("tet10", "hex8", "hex20"))]
)
STEPS = 4


def largest(tensor):
    return tensor.abs().max().item()


def force_at(force, x):
    return force(State.at_rest(x))


def weights(mesh):
    """Of the coordinates in a loss: no symmetry, no zero."""
    return torch.linspace(0.5, 1.5, mesh.vertices.numel()).view_as(mesh.vertices)


def scene(name, kind=SymplecticEuler, **options):
    """A clamped body with an actuator in it, and values that drive it as its own are multiplied in time."""
    force, mesh = actuator(name), body(ACTUATORS[name][0])
    options = {"fixed": "x_min", "dt": 2e-2} | options
    if kind is Equilibrium:
        del options["dt"]
    step = kind(mesh, {"elastic": elastic(name), "actuator": force}, density=1e3, **options)
    own = getattr(force, ACTUATORS[name][2]).detach()
    rise = torch.linspace(0.6, 1.0, STEPS).view(-1, *[1] * own.ndim)
    return step, State.at_rest(mesh.vertices), {f"forces.actuator.{ACTUATORS[name][2]}": rise * own}


@every_actuator
def test_the_force_is_minus_the_gradient_of_the_energy_by_central_differences(name):
    force, x = actuator(name), deformed(name)
    dx, h = torch.randn_like(x), 1e-5
    slope = (force.energy(x + h * dx) - force.energy(x - h * dx)) / (2 * h)
    work = (force_at(force, x) * dx).sum()
    # Truncation h² psi''' = 1e-10, rounding eps / h = 1e-11, relative to energies of one Pa m³ times moduli.
    assert abs(float(work + slope)) < 1e-8 * (abs(float(slope)) + largest(force_at(force, x)))


@every_actuator
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_the_hessian_is_the_derivative_of_the_gradient_of_the_energy(name, batch):
    force, x = actuator(name), deformed(name, *batch).requires_grad_()
    dx = torch.randn_like(x)
    energy = force.energy(x)
    (gradient,) = torch.autograd.grad(energy.sum(), x, create_graph=True)
    (product,) = torch.autograd.grad((gradient * dx).sum(), x)
    assert energy.shape == batch
    assert torch.allclose(force_at(force, x), -gradient, rtol=0, atol=1e-12 * largest(gradient))
    found = force.hessian_product(x.detach(), dx)
    assert torch.allclose(found, product, rtol=0, atol=1e-11 * largest(product))


@every_actuator
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_the_blocks_add_up_to_the_product_and_are_semidefinite_where_projected(name, batch):
    force, x = actuator(name), deformed(name, *batch)
    dx, vertices = torch.randn_like(x), force.connectivity
    blocks = force.hessian_blocks(x)
    parts = (blocks @ dx[..., vertices, :].flatten(-2)[..., None]).squeeze(-1).unflatten(-1, (-1, 3))
    total = torch.zeros_like(dx).index_add(-2, vertices.flatten(), parts.flatten(-3, -2))
    product = force.hessian_product(x, dx)
    assert torch.allclose(total, product, rtol=0, atol=1e-11 * largest(product))
    assert torch.allclose(blocks, blocks.mT, rtol=0, atol=1e-12 * largest(blocks))
    eigenvalues = torch.linalg.eigvalsh(force.hessian_blocks(x, projected=True))
    assert eigenvalues.min() > -1e-12 * eigenvalues.max()


@every_actuator
def test_forward_mode_gives_minus_the_hessian_product(name):
    force, x = actuator(name), deformed(name, 2)
    dx = torch.randn_like(x)
    _, change = torch.func.jvp(lambda x: force_at(force, x), (x,), (dx,))
    product = force.hessian_product(x, dx)
    assert torch.allclose(change, -product, rtol=0, atol=1e-11 * largest(product))


@every_actuator
def test_derivatives_are_right_in_positions_and_in_every_quantity(name):
    force = actuator(name)
    stored = {key: p.detach().clone().requires_grad_() for key, p in force.named_parameters()}

    def function(x, *tensors):
        named = dict(zip(stored, tensors, strict=True))
        return 1e-3 * torch.func.functional_call(force, named, (State.at_rest(x),))

    inputs = (deformed(name).requires_grad_(), *stored.values())
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


@every_actuator
def test_a_batch_is_its_samples_one_by_one(name):
    force, x = actuator(name), deformed(name, 3)
    own, factors = ACTUATORS[name][2], torch.tensor([0.5, 0.8, 1.1])
    value = getattr(force, own).detach()
    values = factors.view(-1, *[1] * max(value.ndim, 1)) * value
    setattr(force, own, values)
    together = force_at(force, x), force.hessian_product(x, x), force.energy(x), force.hessian_blocks(x)
    for k in range(3):
        setattr(force, own, values[k])
        alone = force_at(force, x[k]), force.hessian_product(x[k], x[k]), force.energy(x[k])
        for one, every in zip((*alone, force.hessian_blocks(x[k])), together, strict=True):
            assert torch.allclose(one, every[k], rtol=0, atol=1e-12 * largest(every))


@every_actuator
def test_a_checkpoint_gives_the_same_gradients_to_the_last_bit(name):
    force = actuator(name).requires_grad_()
    inputs = (deformed(name).requires_grad_(), *force.parameters())
    plain = torch.autograd.grad(force_at(force, inputs[0]).square().sum(), inputs)
    again = checkpoint(force_at, force, inputs[0], use_reentrant=False)
    rerun = torch.autograd.grad(again.square().sum(), inputs)
    assert all(torch.equal(p, r) for p, r in zip(plain, rerun, strict=True))


@every_actuator
def test_a_copy_gives_the_same_forces(name):
    force, x = actuator(name), deformed(name)
    expected = force_at(force, x)
    for copied in (copy.deepcopy(force), pickle.loads(pickle.dumps(force))):
        assert torch.equal(force_at(copied, x), expected)


@every_actuator
def test_single_precision_agrees_with_double(name):
    force, x = actuator(name), deformed(name)
    expected = force_at(force, x)
    # Positions are rounded to 1e-7 of a metre in cells of half a metre.
    error = force_at(force.float(), x.float()).double() - expected
    assert largest(error) < 1e-5 * largest(expected)


def assembled(force, x):
    """The stiffness matrix of a force at positions, (3N, 3N)."""
    units = torch.eye(x.numel()).view(-1, *x.shape)
    return force.hessian_product(x.expand_as(units), units).flatten(1)


@every_actuator
@pytest.mark.parametrize("at_rest", [False, True])
def test_the_stable_step_is_below_that_of_the_highest_frequency(name, at_rest):
    step, state, _ = scene(name, dt="auto", fixed=None)
    x = state.positions if at_rest else deformed(name)
    stiffness = sum(assembled(force, x) for force in step.forces.values())
    root = step.inverse_masses.detach().sqrt().repeat_interleave(3)
    highest = torch.linalg.eigvalsh(root[:, None] * stiffness * root).max().sqrt()
    found = step.stable_dts() if at_rest else step.stable_dts(State.at_rest(x))
    assert found <= 2 / highest * (1 + 1e-9)
    # A bound that is four times too low would waste as many steps.
    assert found >= 0.25 * 2 / highest


# In rollouts


@every_actuator_once
@pytest.mark.parametrize("kind", [SymplecticEuler, Newmark, Equilibrium])
def test_gradients_of_controls_are_right(name, kind):
    step, state, controls = scene(name, kind, **({"dt": "auto"} if kind is SymplecticEuler else {}))
    given = {"controls": controls}
    if kind is Equilibrium:
        given = {"parameters": {n: value[-1] for n, value in controls.items()}}
    count = 1 if kind is Equilibrium else STEPS
    rollout, w = RolloutModule(step, count, compile=False), weights(step.elements.mesh)
    report = check_gradients(
        rollout, state, lambda end: (w * end.positions).sum(), [*controls, "youngs_modulus"], **given
    )
    assert report.passed, report
    assert all(check.gradient != 0 for check in report.checks)


@every_actuator_once
@pytest.mark.parametrize("kind", [SymplecticEuler, Newmark, Equilibrium])
def test_forward_mode_agrees_with_reverse_mode_through_a_rollout(name, kind):
    step, state, _ = scene(name, kind, **({"dt": "auto"} if kind is SymplecticEuler else {}))
    rollout, w = (
        RolloutModule(step, 1 if kind is Equilibrium else STEPS, compile=False),
        weights(step.elements.mesh),
    )
    parameters = rollout.train_only(f"forces.actuator.{ACTUATORS[name][2]}")

    def loss():
        return (w * rollout(state).positions).sum()

    (gradient,) = torch.autograd.grad(loss(), parameters)
    _, jacobian = parameter_jacobian(loss, {"driven": parameters[0]})
    assert torch.allclose(jacobian["driven"], gradient, rtol=1e-7, atol=1e-9 * largest(gradient))


@every_actuator_once
def test_a_checkpointed_rollout_has_the_gradients_of_a_plain_one(name):
    step, state, controls = scene(name, dt="auto")
    found = []
    for kind in ("none", "sqrt"):
        driven = {n: value.clone().requires_grad_() for n, value in controls.items()}
        end = RolloutModule(step, STEPS, checkpoint=kind, compile=False)(state, controls=driven)
        found.append(torch.autograd.grad(end.positions.square().sum(), [*driven.values()]))
    assert torch.allclose(found[0][0], found[1][0], rtol=1e-12)


@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # torch's own compiler uses it
def test_a_compiled_rollout_is_the_eager_one():
    names = COMPILED
    forces = {"elastic": elastic(names[0])} | {n.replace(" ", "_"): actuator(n) for n in names}
    step = SymplecticEuler(body(ACTUATORS[names[0]][0]), forces, dt="auto", density=1e3, fixed="x_min")
    driven = {
        f"forces.{n.replace(' ', '_')}.{ACTUATORS[n][2]}": getattr(actuator(n), ACTUATORS[n][2]).detach()
        for n in names
    }
    found = []
    for compiled in (False, True):
        controls = {
            n: torch.linspace(0.6, 1.0, STEPS).view(-1, *[1] * v.ndim).mul(v).requires_grad_()
            for n, v in driven.items()
        }
        end = RolloutModule(step, STEPS, compile=compiled)(
            State.at_rest(body(ACTUATORS[names[0]][0]).vertices), controls=controls
        )
        gradients = torch.autograd.grad(end.positions.square().sum(), [*controls.values()])
        found.append((end.positions.detach(), *gradients))
    for eager, fast in zip(*found, strict=True):
        assert torch.allclose(eager, fast, rtol=1e-9, atol=1e-11 * largest(eager))


@pytest.mark.parametrize("name", ["spring", "servo of a cable", "position servo", "pressure tet4"])
def test_an_unstable_step_is_refused_for_values_of_a_call_and_controls_too(name):
    step, state, _ = scene(name, dt="auto")
    quantity = "pressure" if name.startswith("pressure") else "stiffness"
    full, own = f"forces.actuator.{quantity}", getattr(step.forces["actuator"], quantity).detach().max()
    rollout = RolloutModule(step, 3, compile=False)
    values = own * torch.tensor([[[1.0]], [[2e4]], [[1.0]]])
    with pytest.raises(UnstableStepError, match=r"controls of step 2"):
        rollout(state, controls={full: values})
    with pytest.raises(UnstableStepError, match=r"of sample \(1,\)"):
        rollout(state, {full: values[:, 0]})
