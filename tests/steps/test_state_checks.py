"""States and precisions that a step cannot compute with are named where it is made or called."""

import copy

import pytest
import torch
from support.scenes import beam, moving, rest, same

from simlayer import (
    BDF2,
    BackwardEuler,
    ElasticForce,
    Newmark,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
    check_gradients,
)

pytestmark = pytest.mark.unchecked


def elastic(mesh):
    return ElasticForce(mesh, StableNeoHookean(1e5, 0.3))


@pytest.fixture(scope="module")
def body():
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    return mesh, elastic(mesh)


@pytest.mark.parametrize(
    "call", [lambda step: step, lambda step: RolloutModule(step, 2)], ids=["step", "rollout"]
)
@pytest.mark.parametrize(
    ("state", "message"),
    [
        (lambda: rest(), r"state must be a State\(positions, velocities\), got Tensor of shape \(16, 3\)"),
        (lambda: (rest(), rest()), r"state must be a State\(positions, velocities\), got .*\(tuple\)"),
        (lambda: {"positions": rest()}, r"state must be a State\(positions, velocities\), got .*\(dict\)"),
        (lambda: None, r"state must be a State\(positions, velocities\), got None"),
        (lambda: State(rest(), None), "velocities must be a tensor, got None"),
        (lambda: State(rest(), rest().to_sparse()), r"state.velocities must be a plain tensor .* sparse"),
        (lambda: State(rest().double(), rest()), "state.positions is torch.float64 but .* torch.float32"),
        (
            lambda: State(rest()[:3], rest()),
            r"state.positions has shape \(3, 3\); expected \(\*batch, 16, 3\)",
        ),
        (
            lambda: State.at_rest(rest().expand(0, 16, 3)),
            r"positions has shape \(0, 16, 3\): the batch is empty",
        ),
        (
            lambda: State(rest(), rest(), (rest(),)),
            "history of 1 tensors from another kind .*SymplecticEuler",
        ),
        (lambda: State(rest(), rest(), (rest().double(),)), r"history\[0\] is torch.float64"),
    ],
)
def test_what_is_no_state_of_the_step_is_named(call, state, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(beam())(state())


def test_a_history_of_another_kind_of_step_is_refused_and_that_of_its_own_goes_on(body):
    mesh, force = body
    steps = {
        kind: kind(mesh, {"elastic": force}, dt=1e-3, fixed="x_min")
        for kind in (Newmark, BDF2, BackwardEuler)
    }
    start = State.at_rest(1.01 * mesh.vertices)
    ends = {kind: RolloutModule(step, 1)(start) for kind, step in steps.items()}
    for kind, step in steps.items():
        RolloutModule(step, 1)(ends[kind])
        for other, end in ends.items():
            if other is not kind and end.history:
                with pytest.raises(ValueError, match=f"another kind of step, {kind.__name__} keeps"):
                    RolloutModule(step, 1)(end)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_named(dtype):
    step = beam().to(dtype)
    state = moving().to(dtype)
    with pytest.raises(TypeError, match=f"torch.float32 or torch.float64, not in {dtype}"):
        RolloutModule(step, 2)(state)
    with pytest.raises(TypeError, match=f"torch.float32 or torch.float64, not in {dtype}"):
        RolloutModule(step, 2)(moving())


def test_parts_of_another_precision_are_named_where_the_step_is_made(body):
    mesh, force = body
    double = copy.deepcopy(force).double()
    with pytest.raises(TypeError, match=r"forces.elastic is torch.float64 but the mesh .* torch.float32"):
        SymplecticEuler(mesh, {"elastic": double}, dt=1e-3)


def test_a_part_that_another_rollout_has_converted_in_place_is_named_at_the_next_call(body):
    mesh, force = body
    force = copy.deepcopy(force)
    first, second = (RolloutModule(SymplecticEuler(mesh, {"elastic": force}, dt=1e-4), 2) for _ in range(2))
    first.double()
    with pytest.raises(TypeError, match=r"forces.elastic is torch.float64 but"):
        second(State.at_rest(mesh.vertices))


def test_checking_gradients_leaves_the_users_modules_as_they_are():
    step = beam()
    rollout = RolloutModule(step, 3, compile=False)
    before = rollout(moving())
    report = check_gradients(
        rollout, moving(), lambda end: end.positions.square().sum(), ["gravity", "positions"]
    )
    assert report.passed
    assert report.tolerance == 1e-6
    assert {parameter.dtype for parameter in step.parameters()} == {torch.float32}
    assert same(rollout(moving()), before)


def test_a_name_that_is_given_twice_is_refused():
    rollout = RolloutModule(beam(), 3)
    for names in (["gravity", "gravity"], ["youngs_modulus", "log_youngs_modulus"]):
        with pytest.raises(ValueError, match=f"named twice: '{names[0]}', '{names[1]}'"):
            rollout.train_only(names)


@pytest.mark.parametrize("shape", [(0, 1), (0,)])
def test_an_empty_batch_of_values_is_refused_by_name(shape):
    with pytest.raises(ValueError, match="youngs_modulus must hold at least one number"):
        RolloutModule(beam(), 3)(moving(), {"youngs_modulus": torch.ones(shape)})


def test_no_name_to_check_is_refused():
    with pytest.raises(ValueError, match="names must hold at least one"):
        check_gradients(RolloutModule(beam(), 3), moving(), lambda end: end.positions.sum(), [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "text"}, "loss must be a function, got 'text'"),
        (
            {"loss": torch.nn.ReLU()},
            "loss must map the final state to a number, got a ReLU, which raised: relu",
        ),
        ({"loss": lambda end: end.positions}, "loss must be a tensor of one number .* got Tensor of shape"),
        ({"steps": [0.0]}, r"steps must be a list of positive finite numbers, got \[0"),
        ({"tolerance": "tight"}, "tolerance must be a positive finite number, got 'tight'"),
        ({"rollout": beam}, "rollout must be of class RolloutModule"),
    ],
)
def test_what_gradients_cannot_be_checked_with_is_named(options, message):
    given = {"rollout": RolloutModule(beam(), 2), "state": moving(), "loss": lambda end: end.positions.sum()}
    with pytest.raises((TypeError, ValueError), match=message):
        check_gradients(**(given | {"names": "gravity"} | options))
