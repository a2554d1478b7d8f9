"""What is kept and what is run again when a rollout is differentiated."""

import gc
from collections.abc import Callable

import pytest
import torch
from support.scenes import E_NAME, beam, moving, same
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from simlayer import RolloutModule, State
from simlayer.errors import SimulationError
from simlayer.rollout.inputs import read_inputs
from simlayer.rollout.unroll import Carry, advance_function, bytes_kept

pytestmark = pytest.mark.usefixtures("float64")


class Made(TorchDispatchMode):
    """Notes every storage that an operator makes, to tell afterwards how much of it is still held."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        given = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        for tensor in tree_leaves(result):
            storage = tensor.untyped_storage() if isinstance(tensor, Tensor) else None
            if storage is not None and storage._cdata not in given:  # views make nothing
                self.storages[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        return result

    def held(self) -> int:
        gc.collect()
        return sum(size for reference, size in self.storages.values() if not reference.expired())


def held_for_backward(num_steps: int, **options) -> int:
    """Bytes between forward and backward."""
    rollout = RolloutModule(beam(), num_steps, validate=False, **options)
    modulus, state = torch.tensor(11.5, requires_grad=True), moving()
    with Made() as made:
        end = rollout(state, {E_NAME: modulus})
    held = made.held()
    assert end.positions.requires_grad
    return held


def state_bytes() -> int:
    return 2 * 16 * 3 * 8


def test_without_checkpointing_what_is_kept_grows_with_the_steps():
    short, long = held_for_backward(10, checkpoint="none"), held_for_backward(40, checkpoint="none")
    assert long / short == pytest.approx(4, rel=0.05)


def test_checkpointing_keeps_a_state_before_each_of_about_square_root_of_the_steps_segments():
    held = {n: held_for_backward(n, checkpoint="sqrt") for n in (4, 16, 36)}
    # From 2 to 4 to 6 segments; what does not grow is the packed input.
    assert held[16] - held[4] == 2 * state_bytes()
    assert held[36] - held[16] == 2 * state_bytes()
    assert held[16] < held_for_backward(16, checkpoint="none") / 8


@pytest.mark.parametrize(("num_steps", "length", "segments"), [(13, 3, 5), (12, 99, 1)])
def test_segments_of_a_given_length_keep_one_state_each(num_steps, length, segments):
    one = held_for_backward(1, checkpoint=1)
    held = held_for_backward(num_steps, checkpoint=length)
    assert held - one == (segments - 1) * state_bytes()


def test_without_gradients_only_the_end_is_held():
    rollout, state = RolloutModule(beam(), 20, validate=False), moving()
    with Made() as made, torch.no_grad():
        end = rollout(state)
    assert made.held() == state_bytes()
    del end
    assert made.held() == 0


def test_after_backward_nothing_is_held_but_the_end_and_the_gradient():
    rollout, state = RolloutModule(beam(), 9, validate=False, checkpoint="sqrt"), moving()
    modulus = torch.tensor(11.5, requires_grad=True)
    with Made() as made:
        end = rollout(state, {E_NAME: modulus})
        end.positions.sum().backward()
        del end
    assert made.held() <= state_bytes()


def requirements() -> dict[str, Callable[[], tuple[State, dict[str, Tensor]]]]:
    modulus = torch.tensor(11.5, dtype=torch.float64)
    return {
        "a quantity": lambda: (moving(), {E_NAME: modulus.clone().requires_grad_()}),
        "the state": lambda: (State(moving().positions.requires_grad_(), moving().velocities), {}),
        "both": lambda: (
            State(moving().positions.requires_grad_(), moving().velocities),
            {E_NAME: modulus.clone().requires_grad_()},
        ),
    }


@pytest.mark.parametrize("inputs", requirements().values(), ids=requirements().keys())
def test_the_estimate_that_decides_on_checkpointing_is_what_a_rollout_keeps(inputs):
    step, num_steps = beam(), 20
    state, parameters = inputs()
    rollout = RolloutModule(step, num_steps, checkpoint="none", validate=False)
    given = read_inputs(step, num_steps, state, parameters, None)
    start = Carry(given.state)
    kept = bytes_kept(given, start, advance_function(step, given, start, None))
    estimate = kept * num_steps * step.substeps
    with Made() as made:
        end = rollout(state, parameters)
    held = made.held()
    assert end.positions.requires_grad
    # A decision by powers of ten needs no more than this.
    assert 0.67 * held < estimate < 1.5 * held


def test_a_rollout_runs_each_substep_once_and_with_checkpointing_three_times():
    # Forward; its segment again, which keeps the states between its steps; and itself again, with a graph.
    for checkpoint, runs in (("none", 1), ("sqrt", 3), (4, 3)):
        step, calls = beam(), []
        step.forces["load"].register_forward_hook(lambda *_, calls=calls: calls.append(None))
        modulus = torch.tensor(11.5, requires_grad=True)
        end = RolloutModule(step, 9, checkpoint=checkpoint)(moving(), {E_NAME: modulus})
        assert len(calls) == 18
        end.positions.sum().backward()
        assert len(calls) == runs * 18


@pytest.mark.parametrize("checkpoint", ["none", "sqrt", 4])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_an_error_in_a_substep_is_told_with_its_step(checkpoint, requires_grad):
    step, calls = beam(), []

    def fail(*_):
        calls.append(None)
        if len(calls) == 13:
            raise SimulationError("no way on")

    step.forces["load"].register_forward_hook(fail)
    modulus = torch.tensor(11.5, requires_grad=requires_grad)
    # The first of the two substeps of the seventh step.
    with pytest.raises(SimulationError, match=rf"^in step 7 \(t = {7 * step.dt:g} s\): no way on$"):
        RolloutModule(step, 9, checkpoint=checkpoint)(moving(), {E_NAME: modulus})


@pytest.mark.parametrize("checkpoint", ["sqrt", 1, 4, 7, 20])
def test_checkpointing_changes_no_bit_of_the_result(checkpoint):
    step, modulus = beam(), {E_NAME: torch.tensor(11.5, requires_grad=True)}
    plain = RolloutModule(step, 7, checkpoint="none")(moving(), modulus)
    assert same(plain, RolloutModule(step, 7, checkpoint=checkpoint)(moving(), modulus))


def test_what_is_kept_of_controls_does_not_grow_with_the_square_of_the_steps():
    def held(num_steps: int) -> int:
        rollout = RolloutModule(beam(), num_steps, checkpoint="sqrt", validate=False)
        controls, state = torch.zeros(num_steps, 16, 3, requires_grad=True), moving()
        with Made() as made:
            end = rollout(state, controls={"prescribed_velocities": controls})
        size = made.held()
        assert end.positions.requires_grad
        return size

    sizes = [held(n) for n in (4, 16, 64)]
    assert (sizes[2] - sizes[1]) / (sizes[1] - sizes[0]) < 5
