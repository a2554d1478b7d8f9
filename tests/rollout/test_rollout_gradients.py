"""Gradients through rollouts: equal to central differences for every input and every way to run."""

import functools
from collections.abc import Callable, Mapping

import pytest
import torch
from support.materials import MATERIALS
from support.scenes import (
    DAMPING_NAME,
    E_NAME,
    LOAD_NAME,
    NU_NAME,
    Tether,
    Wind,
    beam,
    beam_of,
    free_box,
    moving,
    noise,
    rest,
    same,
)
from torch import Tensor

from simlayer import ElasticForce, RolloutModule, State, SymplecticEuler, box_mesh

pytestmark = pytest.mark.usefixtures("float64")

STEPS = 10
Inputs = dict[str, Tensor]
STATE = ("positions", "velocities")

# What may be differentiated, and how much of it is a small change: lengths of a body 0.1 m wide, its speeds.
SUBJECTS = {
    "positions": 1e-2,
    "velocities": 1.0,
    E_NAME: 1.0,
    NU_NAME: 1.0,
    "log_density": 1.0,
    "gravity": 10.0,
    "vertex_gravity": 10.0,
    "prescribed_velocities": 1.0,
    "rest_positions": 1e-2,
    LOAD_NAME: 1.0,
    DAMPING_NAME: 1.0,
}


def uniform() -> SymplecticEuler:
    return beam()


def heterogeneous() -> SymplecticEuler:
    vary = 1 + 0.3 * noise(18, seed=5).tanh()
    return beam(youngs_modulus=1e5 * vary, poissons_ratio=0.3 * vary, density=1000 * vary.flip(0))


SCENES = {"one value": uniform, "a value a cell": heterogeneous}


@functools.cache
def scene(name: str) -> SymplecticEuler:
    return SCENES[name]()


def inputs_of(step: SymplecticEuler) -> Inputs:
    start = moving()
    stored = {name: parameter.detach().clone() for name, parameter in step.named_parameters()}
    return {"positions": start.positions, "velocities": start.velocities} | stored


def run(rollout: RolloutModule, inputs: Mapping[str, Tensor]) -> State:
    """The rollout with everything supplied by name."""
    quantities = {name: value for name, value in inputs.items() if name not in STATE}
    return rollout(State(inputs["positions"], inputs["velocities"]), quantities)


def loss(end: State) -> Tensor:
    """A number per sample that every component of the final state enters with another weight."""
    x, v = (end.positions - rest()) / 0.01, end.velocities
    weighted = x * noise(16, 3, seed=11) + v * noise(16, 3, seed=12) + v.square() / 50
    return weighted.sum((-1, -2))


def supplied(step: SymplecticEuler, *, checkpoint="none", compile=False) -> Inputs:
    leaves = {name: value.requires_grad_() for name, value in inputs_of(step).items()}
    value = loss(run(RolloutModule(step, STEPS, checkpoint=checkpoint, compile=compile), leaves))
    return dict(zip(leaves, torch.autograd.grad(value, list(leaves.values())), strict=True))


def owned(step: SymplecticEuler, *, checkpoint="none") -> Inputs:
    start = moving()
    leaves = {"positions": start.positions, "velocities": start.velocities} | dict(step.named_parameters())
    try:
        for leaf in leaves.values():
            leaf.requires_grad_()
        value = loss(RolloutModule(step, STEPS, checkpoint=checkpoint)(State(*start[:2])))
        return dict(zip(leaves, torch.autograd.grad(value, list(leaves.values())), strict=True))
    finally:
        step.requires_grad_(False)


def as_controls(step: SymplecticEuler) -> Inputs:
    """Constant controls: the gradients of all steps add up to that of one parameter."""
    leaves = {name: value.requires_grad_() for name, value in inputs_of(step).items()}
    constant = (*STATE, "rest_positions")
    controls = {n: v.expand(STEPS, *v.shape) for n, v in leaves.items() if n not in constant}
    state, shape = State(*(leaves[name] for name in STATE)), {"rest_positions": leaves["rest_positions"]}
    end = RolloutModule(step, STEPS)(state, shape, controls=controls)
    return dict(zip(leaves, torch.autograd.grad(loss(end), list(leaves.values())), strict=True))


def in_a_batch(step: SymplecticEuler) -> Inputs:
    """The second of three samples that differ in everything; the others do not leak into it."""
    leaves = {}
    for seed, (name, value) in enumerate(inputs_of(step).items()):
        own = value if value.ndim else value[None]
        change = 0.02 * SUBJECTS[name] * noise(3, *own.shape, seed=100 + seed)
        change[1] = 0
        leaves[name] = (own + change).requires_grad_()
    value = loss(run(RolloutModule(step, STEPS), leaves))[1]
    gradients = torch.autograd.grad(value, list(leaves.values()))
    assert all((g[[0, 2]] == 0).all() for g in gradients)
    own = inputs_of(step)
    return {name: g[1].reshape(own[name].shape) for name, g in zip(leaves, gradients, strict=True)}


def through_functional_call(step: SymplecticEuler) -> Inputs:
    """Swapped from outside, around a rollout that checkpoints inside; backward runs after the swap ended."""
    leaves = {name: value.requires_grad_() for name, value in inputs_of(step).items()}
    rollout = RolloutModule(step, STEPS, checkpoint="sqrt")
    swapped = {
        f"step.{name}": value for name, value in leaves.items() if name not in ("positions", "velocities")
    }
    start = State(leaves["positions"], leaves["velocities"])
    end = torch.func.functional_call(rollout, swapped, (start,))
    return dict(zip(leaves, torch.autograd.grad(loss(end), list(leaves.values())), strict=True))


MODES: dict[str, Callable[[SymplecticEuler], Inputs]] = {
    "eager": supplied,
    "owned": owned,
    "checkpoint sqrt": functools.partial(supplied, checkpoint="sqrt"),
    "checkpoint 3": functools.partial(supplied, checkpoint=3),
    "owned, checkpoint 3": functools.partial(owned, checkpoint=3),
    "controls": as_controls,
    "batched": in_a_batch,
    "functional_call": through_functional_call,
    "traced": functools.partial(supplied, compile="eager"),
    "traced, checkpoint sqrt": functools.partial(supplied, checkpoint="sqrt", compile="eager"),
}


@functools.cache
def gradients(mode: Callable[[SymplecticEuler], Inputs], scene_name: str) -> Inputs:
    return mode(scene(scene_name))


def direction(name: str, step: SymplecticEuler) -> Tensor:
    """A random direction of the size of a change that matters."""
    return SUBJECTS[name] * noise(*inputs_of(step)[name].shape, seed=sum(map(ord, name))).add(0.1)


def difference(function: Callable[[float], Tensor], h: float) -> float:
    """The derivative of a function at 0 by a five-point central difference.

    Its error is h⁴ times a fifth derivative, and rounding over h: both about 1e-12 at h = 1e-3.
    """
    with torch.no_grad():
        return float((8 * (function(h) - function(-h)) - (function(2 * h) - function(-2 * h))) / (12 * h))


@functools.cache
def slope(name: str, scene_name: str) -> float:
    """The derivative of the loss along the subject's direction, by differences."""
    step = scene(scene_name)
    rollout = RolloutModule(step, STEPS, checkpoint="none")
    inputs, d = inputs_of(step), direction(name, step)
    return difference(lambda h: loss(run(rollout, inputs | {name: inputs[name] + h * d})), 1e-3)


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scene_name", SCENES)
def test_a_gradient_equals_a_central_difference(name, mode, scene_name):
    gradient = gradients(MODES[mode], scene_name)[name]
    expected = slope(name, scene_name)
    assert abs(expected) > 1e-4, "the loss does not depend on it, so the test shows nothing"
    assert float((gradient * direction(name, scene(scene_name))).sum()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("element", ["tet10", "hex8", "hex20"])
@pytest.mark.parametrize("checkpoint", ["none", 3])
def test_gradients_on_every_element_equal_central_differences(element, checkpoint):
    step, start = beam_of(element)
    count = step.num_vertices
    leaves = {"positions": start.positions, "velocities": start.velocities} | {
        name: parameter.detach().clone() for name, parameter in step.named_parameters()
    }
    rollout = RolloutModule(step, STEPS, checkpoint=checkpoint)

    def result(inputs):
        end = run(rollout, inputs)
        return (end.positions * noise(count, 3, seed=11) * 100 + end.velocities.square() / 50).sum()

    inputs = {name: value.requires_grad_() for name, value in leaves.items()}
    slopes = torch.autograd.grad(result(inputs), list(inputs.values()))
    inputs = {name: value.detach() for name, value in inputs.items()}
    for name, slope in zip(inputs, slopes, strict=True):
        d = 0.1 * SUBJECTS[name] * noise(*slope.shape, seed=7).add(0.1)
        expected = difference(lambda h, n=name, d=d: result(inputs | {n: inputs[n] + h * d}), 1e-3)
        assert abs(expected) > 1e-5, "the loss does not depend on it, so the test shows nothing"
        assert float((slope * d).sum()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("checkpoint", ["sqrt", 1, 3, STEPS, 2 * STEPS])
def test_checkpointing_changes_no_bit_of_the_gradients(checkpoint):
    plain = gradients(supplied, "a value a cell")
    again = supplied(scene("a value a cell"), checkpoint=checkpoint)
    assert all(torch.equal(plain[name], again[name]) for name in plain)


def test_owned_and_supplied_values_have_the_same_gradients_bit_by_bit():
    plain, own = gradients(supplied, "a value a cell"), gradients(owned, "a value a cell")
    assert all(torch.equal(plain[name], own[name]) for name in plain)


def test_gradients_without_the_batch_are_those_of_each_sample():
    step = scene("one value")
    moduli = torch.tensor([[11.0], [11.5], [12.0]], requires_grad=True)
    rollout = RolloutModule(step, STEPS)
    (together,) = torch.autograd.grad(loss(rollout(moving(), {E_NAME: moduli})).sum(), moduli)
    for sample, gradient in zip(moduli, together, strict=True):
        (alone,) = torch.autograd.grad(loss(rollout(moving(), {E_NAME: sample})), sample)
        assert torch.allclose(alone, gradient[0], rtol=1e-12)


@pytest.mark.parametrize("name", MATERIALS)
def test_gradients_to_the_quantities_of_every_material_equal_a_central_difference(name):
    step = beam(material=MATERIALS[name](1e5, 0.4))
    rollout = RolloutModule(step, STEPS, checkpoint="none")
    parameters = dict(step.forces["elastic"].material.named_parameters(prefix="forces.elastic.material"))
    # Weights of a network are no quantities.
    values = {n: p.detach().clone().requires_grad_() for n, p in parameters.items() if not p.ndim}
    slopes = torch.autograd.grad(loss(rollout(moving(), values)), list(values.values()))
    # Along different shares of each quantity, so that a swap of two shows.
    shares = {n: 1.0 / (1 + 0.7 * k) for k, n in enumerate(values)}
    assert len(shares) >= 2
    assert all(float(gradient) != 0 for gradient in slopes)
    expected = difference(
        lambda h: loss(rollout(moving(), {n: v + h * shares[n] for n, v in values.items()})),
        # Fibres that go slack within the difference would make it wrong in the first order.
        1e-7 if name == "HolzapfelGasserOgden" else 1e-3,
    )
    gradient = sum(float(g) * shares[n] for n, g in zip(values, slopes, strict=True))
    assert gradient == pytest.approx(expected, rel=1e-6)


def test_the_gradient_of_a_thousand_steps_equals_a_central_difference():
    step = free_box((1, 1, 1), gravity=(0.0, 0.0, -9.81), fixed=torch.arange(4))
    rollout = RolloutModule(step, 1000, checkpoint="none")
    start = State.at_rest(rest((1, 1, 1)))

    def tip(log_modulus: Tensor) -> Tensor:
        return rollout(start, {E_NAME: log_modulus}).positions[-1, 2]

    value = torch.tensor(1e4).log().requires_grad_()
    (gradient,) = torch.autograd.grad(tip(value), value)
    # After some ten periods the tip is a wave in log E, whose third derivative is 1000 times the first: the
    # difference is wrong by h² * 1000/6 = 2e-8, and by rounding over h, 1e-10.
    h = 1e-5
    with torch.no_grad():
        expected = float(tip(value + h) - tip(value - h)) / (2 * h)
    assert float(gradient) == pytest.approx(expected, rel=1e-6)


# Inside torch.func.jvp.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_forward_mode_equals_reverse_mode():
    step = scene("a value a cell")
    rollout = RolloutModule(step, 3)
    inputs = {name: value.requires_grad_() for name, value in inputs_of(step).items()}
    directions = {name: direction(name, step) for name in inputs}
    slopes = torch.autograd.grad(loss(run(rollout, inputs)), list(inputs.values()))
    reverse = sum((g * d).sum() for g, d in zip(slopes, directions.values(), strict=True))
    detached = {name: value.detach() for name, value in inputs.items()}
    _, forward = torch.func.jvp(lambda values: loss(run(rollout, values)), (detached,), (directions,))
    assert torch.allclose(forward, reverse, rtol=1e-12)


def test_second_derivatives_of_a_short_rollout_equal_differences_of_first_ones():
    step = free_box((1, 1, 1), gravity=(0.0, 0.0, -9.81), fixed=torch.arange(4), substeps=2)
    rollout = RolloutModule(step, 3, checkpoint="none", validate=False)
    start = moving((1, 1, 1))

    def end(log_modulus: Tensor, positions: Tensor) -> Tensor:
        return rollout(State(positions, start.velocities), {E_NAME: log_modulus}).positions.square()

    inputs = (torch.tensor(1e4).log().requires_grad_(), start.positions.clone().requires_grad_())
    # Positions have size 0.1 and their second derivatives by E about 1e-4 of it.
    assert torch.autograd.gradgradcheck(end, inputs, atol=1e-9, rtol=1e-5, fast_mode=True)


def test_a_compiled_rollout_refuses_to_be_differentiated_twice():
    # Silence would be a second derivative without the rollout's part.
    rollout = RolloutModule(scene("one value"), 2, checkpoint="none", compile="eager")
    modulus = torch.tensor(11.5, requires_grad=True)
    end = loss(rollout(moving(), {E_NAME: modulus}))

    def second_derivative() -> None:
        (first,) = torch.autograd.grad(end, modulus, create_graph=True)
        torch.autograd.grad(first, modulus)

    with pytest.raises(RuntimeError, match=r"compile=False|differentiate twice"):
        second_derivative()


def test_a_batch_equals_its_samples_one_by_one():
    step = scene("one value")
    moduli, gravity = 11.5 + 0.1 * noise(3, 18), noise(3, 3, seed=1)
    starts = moving((3, 1, 1), 3)
    rollout = RolloutModule(step, STEPS)
    together = rollout(starts, {E_NAME: moduli, "gravity": gravity})
    for b in range(3):
        alone = rollout(
            State(starts.positions[b], starts.velocities[b]), {E_NAME: moduli[b], "gravity": gravity[b]}
        )
        # The operators are the same, but a batched sum may be in another order.
        assert torch.allclose(together.positions[b], alone.positions, rtol=0, atol=1e-14)
        assert torch.allclose(together.velocities[b], alone.velocities, rtol=0, atol=1e-12)


@pytest.mark.parametrize("checkpoint", ["none", "sqrt"])
@pytest.mark.parametrize("every", [1, 3, 4])
def test_the_gradient_of_a_trajectory_equals_a_central_difference(every, checkpoint):
    step = scene("one value")
    rollout = RolloutModule(step, STEPS, checkpoint=checkpoint)
    value = inputs_of(step)[E_NAME].requires_grad_()
    weights = noise(STEPS // every + 1, seed=7)

    def total(log_modulus: Tensor) -> Tensor:
        return (weights * loss(rollout.trajectory(moving(), {E_NAME: log_modulus}, every=every))).sum()

    (gradient,) = torch.autograd.grad(total(value), value)
    assert float(gradient) == pytest.approx(difference(lambda h: total(value + h), 1e-3), rel=1e-6)


def test_gradients_of_controls_are_those_of_the_time_they_act_at():
    step = scene("one value")
    controls = (torch.tensor([0.0, 0.0, -9.81]).expand(STEPS, 3) + noise(STEPS, 3)).requires_grad_()
    rollout = RolloutModule(step, STEPS, checkpoint=4)
    end = loss(rollout(moving(), controls={"gravity": controls}))
    (gradient,) = torch.autograd.grad(end, controls)
    for index in (0, 5, STEPS - 1):
        change = torch.zeros(STEPS, 3)
        change[index] = torch.tensor([1.0, 2.0, 3.0])
        expected = difference(
            lambda h, change=change: loss(rollout(moving(), controls={"gravity": controls + h * change})),
            1e-2,
        )
        assert float((gradient * change).sum()) == pytest.approx(expected, rel=1e-6)


def test_a_later_change_of_parameters_does_not_reach_a_backward_that_reruns_steps():
    step = uniform()
    rollout = RolloutModule(step, STEPS, checkpoint="sqrt")
    leaf = inputs_of(step)[E_NAME].requires_grad_()
    (expected,) = torch.autograd.grad(loss(rollout(moving(), {E_NAME: leaf})), leaf)
    end = rollout(moving(), {E_NAME: leaf})
    # An assignment to a quantity that was supplied, and another call with another value, come between.
    step.forces["elastic"].material.youngs_modulus = 3e5
    rollout(moving(), {E_NAME: torch.tensor(10.0)})
    (gradient,) = torch.autograd.grad(loss(end), leaf)
    assert torch.equal(gradient, expected)


def test_fixed_vertices_pass_gradients_of_their_positions_and_none_of_their_velocities():
    held = scene("one value").free == 0
    result = gradients(supplied, "one value")
    assert (result["velocities"][held] == 0).all()
    assert (result["positions"][held] != 0).all()
    assert (result["prescribed_velocities"][~held] == 0).all()


@pytest.mark.parametrize("checkpoint", ["none", "sqrt"])
def test_materials_and_forces_written_by_a_user_have_gradients_inside_a_rollout(checkpoint):
    mesh = box_mesh(cells=(3, 1, 1), size=(0.3, 0.1, 0.1))
    material = MATERIALS["written by a user"](1e5, 0.4)
    step = SymplecticEuler(
        mesh,
        {"elastic": ElasticForce(mesh, material), "tether": Tether(mesh.vertices, 30.0), "wind": Wind(0.5)},
        dt=1e-3,
        fixed=mesh.vertex_sets["x_min"],
    )
    rollout = RolloutModule(step, STEPS, checkpoint=checkpoint)
    names = ("forces.elastic.material.log_shear_modulus", "forces.tether.log_stiffness", "forces.wind.gain")
    values = {name: dict(step.named_parameters())[name].detach().clone().requires_grad_() for name in names}
    slopes = torch.autograd.grad(loss(rollout(moving(), values)), list(values.values()))
    for name, gradient in zip(names, slopes, strict=True):
        expected = difference(
            lambda h, name=name: loss(rollout(moving(), values | {name: values[name] + h})), 1e-3
        )
        assert float(gradient) == pytest.approx(expected, rel=1e-6)


def test_a_potential_written_by_a_user_takes_a_stiffness_per_sample():
    step = beam(forces={"tether": Tether(rest(), 30.0)})
    rollout = RolloutModule(step, STEPS)
    stiffness = torch.tensor([[3.0], [4.0], [5.0]], requires_grad=True)
    together = rollout(moving(), {"forces.tether.log_stiffness": stiffness})
    (gradient,) = torch.autograd.grad(loss(together).sum(), stiffness)
    for b in range(3):
        leaf = stiffness[b].detach().requires_grad_()
        alone = rollout(moving(), {"forces.tether.log_stiffness": leaf})
        assert torch.allclose(together.positions[b], alone.positions, rtol=0, atol=1e-14)
        assert torch.allclose(torch.autograd.grad(loss(alone), leaf)[0], gradient[b], rtol=1e-10)


def test_training_weights_of_a_force_get_the_gradient_of_a_loop_written_by_hand():
    step = beam(forces={"wind": Wind(0.5)})
    gain = step.forces["wind"].gain
    (in_rollout,) = torch.autograd.grad(loss(RolloutModule(step, STEPS, checkpoint=3)(moving())), gain)
    state = moving()
    for _ in range(STEPS):
        state = step(state)
    (by_hand,) = torch.autograd.grad(loss(state), gain)
    assert torch.allclose(in_rollout, by_hand, rtol=1e-12)
    assert same(State(*RolloutModule(step, STEPS)(moving())[:2]), State(*state[:2]))
