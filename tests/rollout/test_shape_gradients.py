"""Gradients with respect to rest positions: equal to central differences, however rollouts are run."""

import functools

import pytest
import torch
from support.meshes import ELEMENTS
from support.scenes import noise
from support.shapes import block, other_shape, start, step_of

from simlayer import (
    BDF2,
    Equilibrium,
    Newmark,
    RolloutModule,
    SymplecticEuler,
    check_gradients,
    parameter_jacobian,
)

pytestmark = pytest.mark.usefixtures("float64")

KINDS = {
    "explicit": (SymplecticEuler, {}),
    "Newmark": (Newmark, {}),
    "BDF2, consistent mass": (BDF2, {"mass_matrix": "consistent"}),
    "equilibrium": (Equilibrium, {}),
}
every_element = pytest.mark.parametrize("element", ELEMENTS)


@functools.cache
def scene(element, kind):
    mesh = block(element)
    step_kind, options = KINDS[kind]
    return mesh, step_of(mesh, step_kind, **options)


def steps_of(kind):
    return {"explicit": 6, "equilibrium": 1}.get(kind, 2)


def results(rollout, state, shape):
    """Two numbers that depend on all of the end, of samples that are weighted differently."""
    end = rollout(state, {"rest_positions": shape})
    weights = noise(2, *shape.shape, seed=8)
    return (end.positions * weights + end.velocities * weights.flip(0)).flatten(1).sum(1)


def reverse(rollout, state, shape):
    leaf = shape.clone().requires_grad_()
    return torch.autograd.grad(results(rollout, state, leaf).sum(), leaf)[0]


@pytest.mark.unchecked  # of which the checks of shapes would be most
@pytest.mark.parametrize("kind", KINDS)
@every_element
def test_the_gradient_of_two_samples_equals_a_central_difference(element, kind):
    mesh, step = scene(element, kind)
    rollout, state = RolloutModule(step, steps_of(kind), compile=False), start(mesh)
    shape = other_shape(mesh, 2)
    direction = noise(*shape.shape, seed=10)
    slope = float((reverse(rollout, state, shape) * direction).sum())

    def at(h):
        return float(results(rollout, state, shape + h * direction).sum())

    with torch.no_grad():
        # Five points, of which differences of contact and of solutions are best at one width or another.
        errors = [
            abs((8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h) / slope - 1)
            for h in (1e-3, 1e-5)
        ]
    assert min(errors) < 1e-6


@pytest.mark.parametrize("options", [{"checkpoint": 4}, {"compile": "eager"}], ids=str)
@every_element
def test_checkpointed_and_traced_rollouts_have_the_gradient_of_plain_ones(element, options):
    mesh, step = scene(element, "explicit")
    shape, state = other_shape(mesh, 2), start(mesh)
    expected = reverse(RolloutModule(step, 6, compile=False, checkpoint="none"), state, shape)
    found = reverse(RolloutModule(step, 6, **({"compile": False} | options)), state, shape)
    assert torch.allclose(found, expected, rtol=1e-11, atol=1e-12 * float(expected.abs().max()))


@pytest.mark.compiled
# The compiler's own.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_compiled_rollouts_have_the_results_and_the_gradient_of_eager_ones():
    mesh, step = scene("tet4", "explicit")
    shape, state = other_shape(mesh, 2), start(mesh)
    eager, compiled = (RolloutModule(step, 6, compile=c, checkpoint="none") for c in (False, True))
    expected = reverse(eager, state, shape)
    found = reverse(compiled, state, shape)
    assert torch.allclose(found, expected, rtol=1e-10, atol=1e-11 * float(expected.abs().max()))
    with torch.no_grad():
        assert torch.allclose(results(compiled, state, shape), results(eager, state, shape), rtol=1e-11)


# Inside torch.func.jvp.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.unchecked
@pytest.mark.parametrize("kind", KINDS)
@every_element
def test_forward_mode_equals_reverse_mode(element, kind):
    mesh, step = scene(element, kind)
    rollout, state = RolloutModule(step, steps_of(kind), compile=False), start(mesh)
    shape, directions = other_shape(mesh), noise(2, *mesh.vertices.shape, seed=12)
    design = torch.zeros(2)

    def run():
        return results(rollout, state, shape + (design[:, None, None] * directions).sum(0))

    _, jacobian = parameter_jacobian(run, {"design": design})
    gradient = reverse(rollout, state, shape)
    expected = torch.stack([(gradient * direction).sum() for direction in directions])
    # Two solutions of linear systems, each with a residual of 1e-9.
    assert torch.allclose(jacobian["design"].sum(0), expected, rtol=1e-8)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("trainable", [True, False])
def test_rest_positions_of_ones_own_have_the_gradient_of_those_that_are_given(trainable):
    mesh, step = scene("tet4", "explicit")
    rollout, state, weights = RolloutModule(step, 4, compile=False), start(mesh), noise(12, 3, seed=8)

    def run(*given):
        return (rollout(state, *given).positions * weights).sum()

    leaf = mesh.vertices.clone().requires_grad_()
    (expected,) = torch.autograd.grad(run({"rest_positions": leaf}), leaf)
    (own,) = rollout.train_only("rest_positions")
    (found,) = torch.autograd.grad(run(), own)
    step.requires_grad_(trainable)
    _, forward = parameter_jacobian(run, {"rest_positions": own})
    step.requires_grad_(False)
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-15)
    assert torch.allclose(forward["rest_positions"], expected, rtol=1e-10, atol=1e-14)
    assert check_gradients(
        rollout, state, lambda end: (end.positions * weights).sum(), ["rest_positions"]
    ).passed


def test_second_derivatives_equal_differences_of_first_ones():
    mesh = block("tet4")
    step = step_of(mesh, SymplecticEuler)
    rollout = RolloutModule(step, 2, compile=False, checkpoint="none", validate=False)

    def end(shape):
        return results(rollout, start(mesh), shape)

    assert torch.autograd.gradgradcheck(
        end, other_shape(mesh).requires_grad_(), atol=1e-7, rtol=1e-5, fast_mode=True
    )
