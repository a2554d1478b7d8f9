"""Truncated gradients: values are those of the whole rollout, derivatives end at the start of each window."""

import copy

import pytest
import torch
from support.scenes import E_NAME, beam, moving, same
from torch import nn

from simlayer import (
    BDF2,
    BackwardEuler,
    ElasticForce,
    Newmark,
    RecurrentPolicy,
    RolloutModule,
    StableNeoHookean,
    State,
    adjoint_norms,
    box_mesh,
    parameter_jacobian,
)

pytestmark = pytest.mark.usefixtures("float64")
STEPS, WINDOW = 7, 3


def implicit(kind):
    mesh = box_mesh(cells=(3, 1, 1), size=(0.3, 0.1, 0.1))
    force = ElasticForce(mesh, StableNeoHookean(1e5, 0.4))
    return kind(mesh, {"elastic": force}, dt=4e-3, density=1e3, fixed="x_min")


WAYS = {
    "explicit": (beam, {"checkpoint": "none", "compile": False}),
    "in segments across windows": (beam, {"checkpoint": 2, "compile": False}),
    "in segments of windows": (beam, {"checkpoint": WINDOW, "compile": False}),
    "compiled": (beam, {"compile": "eager"}),
    "compiled, in segments": (beam, {"compile": "eager", "checkpoint": 2}),
    "Newmark": (lambda: implicit(Newmark), {}),
    "BDF2, in segments": (lambda: implicit(BDF2), {"checkpoint": 2}),
    "BackwardEuler": (lambda: implicit(BackwardEuler), {}),
}


def by_hand(rollout, state, parameters, *, inputs=(), controls=None):
    """All frames of rollouts of `WINDOW` steps, each from the last state of the one before, as a constant."""
    rollout, whole, frames = copy.copy(rollout), rollout.num_steps, [state]
    rollout.truncate = None
    for first in range(0, whole, WINDOW):
        rollout.num_steps = min(WINDOW, whole - first)
        start = State(*(part.detach() for part in state[:2]), tuple(x.detach() for x in state.history))
        part = rollout.trajectory(
            start if first else state,
            parameters,
            {name: path[first : first + WINDOW] for name, path in (controls or {}).items()},
            policy_inputs=inputs,
        )
        frames += [State(*(x[k] for x in part[:2])) for k in range(1, rollout.num_steps + 1)]
        state = State(part.positions[-1], part.velocities[-1], tuple(x[-1] for x in part.history))
    return State(*(torch.stack([frame[k] for frame in frames]) for k in (0, 1)))


def loss(frames, weights):
    return (frames.positions * weights).sum() + (frames.velocities * weights).sum()


def weights_like(frames, count):
    """Weights of the last frames."""
    found = torch.linspace(1.0, 2.0, frames.positions.numel()).view_as(frames.positions).clone()
    found[:-count] = 0.0
    return found


@pytest.mark.parametrize("way", WAYS)
def test_gradients_are_those_of_windows_that_are_detached_by_hand(way):
    make, options = WAYS[way]
    step = make()
    state = moving()
    start = State(*(part.requires_grad_() for part in state[:2]))
    modulus = torch.tensor(11.5, requires_grad=True)
    rollout = RolloutModule(step, STEPS, truncate=WINDOW, **options)
    frames = rollout.trajectory(start, {E_NAME: modulus})
    expected = by_hand(rollout, start, {E_NAME: modulus})
    assert torch.equal(frames.positions, expected.positions)

    def slopes(motion, count):
        return torch.autograd.grad(
            loss(motion, weights_like(motion, count)),
            [*start[:2], modulus],
            retain_graph=True,
            allow_unused=True,
        )

    # A loss of the last window: what comes before adds nothing, and the sum has the same terms in one order.
    found, hand = slopes(frames, 1), slopes(expected, 1)
    assert all(slope is None or not bool(slope.any()) for slope in (*found[:2], *hand[:2]))
    assert torch.equal(found[2], hand[2])
    # A loss of all frames: the start has what its own window adds, to the last bit; the sum over windows is
    # taken in another order, and each of its terms is rounded.
    found, hand = slopes(frames, STEPS), slopes(expected, STEPS)
    assert all(torch.equal(a, b) for a, b in zip(found[:2], hand[:2], strict=True))
    assert bool(found[0].any())
    torch.testing.assert_close(found[2], hand[2], rtol=1e-13, atol=0)


@pytest.mark.parametrize("truncate", [STEPS, 100])
def test_a_window_of_all_steps_has_the_whole_gradient_to_the_last_bit(truncate):
    start = State(*(part.requires_grad_() for part in moving()[:2]))
    rollout, gradients = RolloutModule(beam(), STEPS, compile=False), []
    for rollout.truncate in (None, truncate):
        end = rollout(start)
        gradients.append(torch.autograd.grad(end.positions.square().sum(), start[:2]))
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_values_do_not_change():
    rollout = RolloutModule(beam(), STEPS)
    whole = rollout(moving())
    rollout.truncate = 2
    assert same(rollout(moving()), whole)


def test_gradients_of_controls_are_those_of_their_window_to_the_last_bit():
    path = torch.linspace(1e5, 2e5, STEPS)[:, None].requires_grad_()
    rollout = RolloutModule(beam(), STEPS, truncate=WINDOW, compile=False)
    slopes = []
    for motion in (
        rollout.trajectory(moving(), controls={"youngs_modulus": path}),
        by_hand(rollout, moving(), None, controls={"youngs_modulus": path}),
    ):
        (last,) = torch.autograd.grad(loss(motion, weights_like(motion, 1)), path, retain_graph=True)
        assert not bool(last[:6].any())
        assert bool(last[6].all())
        slopes += torch.autograd.grad(loss(motion, weights_like(motion, STEPS)), path)
    assert torch.equal(*slopes)


class Remember(RecurrentPolicy):
    """Sets gravity by the velocity and by what it has seen before."""

    def __init__(self, **options):
        super().__init__(**options)
        self.gain = nn.Parameter(torch.tensor(0.7))

    def initial_memory(self, state):
        return (torch.zeros_like(state.velocities[..., 0, :]),)

    def forward(self, state, memory):
        memory = 0.5 * memory[0] + self.gain * state.velocities.mean(-2)
        return {"gravity": torch.tanh(memory)}, (memory,)


@pytest.mark.parametrize("checkpoint", ["none", 2])
def test_the_memory_of_a_policy_is_a_constant_at_the_start_of_a_window(checkpoint):
    policy = Remember(interval=3)
    rollout = RolloutModule(
        beam(), STEPS, policy=policy, truncate=WINDOW, checkpoint=checkpoint, compile=False
    )
    slopes = []
    for simulate in (lambda: rollout.trajectory(moving()), lambda: by_hand(rollout, moving(), None)):
        frames = simulate()
        slopes.append(torch.autograd.grad(loss(frames, weights_like(frames, STEPS)), policy.gain)[0])
    torch.testing.assert_close(*slopes, rtol=1e-13, atol=0)
    rollout.truncate = None
    frames = rollout.trajectory(moving())
    (whole,) = torch.autograd.grad(loss(frames, weights_like(frames, STEPS)), policy.gain)
    assert abs(float(whole / slopes[0]) - 1) > 1e-3, "the windows should matter"


def test_a_policy_is_asked_at_the_start_of_every_window():
    rollout = RolloutModule(beam(), STEPS, policy=Remember(interval=2), truncate=3)
    with pytest.raises(ValueError, match=r"truncate must be a multiple of the 2 steps .* got 3"):
        rollout(moving())


@pytest.mark.parametrize("make", [beam, lambda: implicit(Newmark)])
def test_forward_mode_agrees_with_reverse_mode(make):
    rollout = RolloutModule(make(), STEPS, truncate=WINDOW, compile=False)
    (modulus,) = rollout.train_only("youngs_modulus")
    frames = rollout.trajectory(moving())
    weights = weights_like(frames, STEPS)
    (reverse,) = torch.autograd.grad(loss(frames, weights), modulus)
    _, forward = parameter_jacobian(lambda: loss(rollout.trajectory(moving()), weights), {"E": modulus})
    torch.testing.assert_close(forward["E"], reverse, rtol=1e-10, atol=0)
    rollout.truncate = None
    (whole,) = torch.autograd.grad(loss(rollout.trajectory(moving()), weights), modulus)
    assert abs(float(whole / reverse) - 1) > 1e-3, "the windows should matter"


def test_forward_mode_of_torch_through_implicit_steps_agrees_too():
    rollout, slopes = RolloutModule(implicit(Newmark), STEPS, truncate=WINDOW), []
    frames = rollout.trajectory(moving())
    weights, modulus = weights_like(frames, STEPS), torch.tensor(11.5)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(modulus, torch.ones(()))
        value = loss(rollout.trajectory(moving(), {E_NAME: dual}), weights)
        slopes.append(torch.autograd.forward_ad.unpack_dual(value).tangent)
    modulus.requires_grad_()
    value = loss(rollout.trajectory(moving(), {E_NAME: modulus}), weights)
    slopes += torch.autograd.grad(value, modulus)
    torch.testing.assert_close(*slopes, rtol=1e-10, atol=0)


def test_a_transform_in_reverse_mode_agrees_with_autograd():
    rollout = RolloutModule(beam(), STEPS, truncate=WINDOW, compile=False, checkpoint="none")

    def end(modulus):
        frames = rollout.trajectory(moving(), {E_NAME: modulus})
        return loss(frames, weights_like(frames, STEPS))

    modulus = torch.tensor(11.5, requires_grad=True)
    (expected,) = torch.autograd.grad(end(modulus), modulus)
    torch.testing.assert_close(torch.func.grad(end)(modulus.detach()), expected, rtol=1e-13, atol=0)


def test_norms_of_adjoints_are_those_of_the_whole_gradient():
    rollout, state = RolloutModule(beam(), 6), moving()

    def end(frames):
        return frames.positions[-1].square().sum()

    expected = adjoint_norms(rollout, state, end, every=3)
    rollout.truncate = 1
    assert torch.equal(adjoint_norms(rollout, state, end, every=3).positions, expected.positions)


def test_a_window_is_a_whole_number_of_steps_and_printed():
    rollout = RolloutModule(beam(), 3, truncate=2)
    assert "gradients through windows of 2 steps" in repr(rollout)
    with pytest.raises(ValueError, match="truncate must be an int, at least 1, got 0"):
        rollout.truncate = 0
    with pytest.raises(TypeError, match="truncate must be an int"):
        rollout.truncate = 2.5
