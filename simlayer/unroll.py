"""Repeating a step, with and without keeping what backward needs."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from simlayer.call import Call
from simlayer.compilation import program_for
from simlayer.errors import ConvergenceError
from simlayer.heap import trim
from simlayer.packing import on_state, pack, unpack
from simlayer.programs import Function, Recomputed
from simlayer.state import State
from simlayer.steps.base import Step

Advance = Callable[[State, Sequence[Tensor]], State]


def advance_function(step: Step, call: Call, backend: str | None, *, recompute: bool = False) -> Advance:
    """One substep between packed states, given the packed values that it reads.

    Compiled with a backend, eager without; eager with `recompute`, backward keeps its inputs only.
    """

    def function(positions: Tensor, velocities: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        past, values = rest[: len(call.state.history)], rest[len(call.state.history) :]
        # Through views, so that what one step adds to a gradient is summed before it is added: in the same
        # order, to the last bit, whether or not the step is a single node of the graph.
        with call.reading([v.view_as(v) if v.requires_grad else v for v in values]):
            state = step.substep(on_state(unpack, State(positions, velocities, past)))
        state = on_state(pack, state)
        return state.positions, state.velocities, *state.history

    run: Function = function
    example = [*_flat(call.state), *call.values_at(0)]
    # The state is differentiable from the second step on whenever anything is.
    count = len(_flat(call.state))
    differentiable = [
        call.needs_gradient() and (k < count or tensor.requires_grad) for k, tensor in enumerate(example)
    ]
    if backend is not None:
        key = (*call.values, step.dt, step.substeps, *map(weakref.ref, step.modules()))
        run = program_for(
            step, key=key, function=function, example=example, differentiable=differentiable, backend=backend
        )
    elif recompute:
        run = Recomputed(function, count, differentiable)

    def advance(state: State, values: Sequence[Tensor]) -> State:
        positions, velocities, *past = run(*_flat(state), *values)
        return State(positions, velocities, tuple(past))

    return advance


def unroll(
    step: Step, call: Call, advance: Advance, num_steps: int, *, segment: int | None, every: int | None
) -> tuple[State, list[State]]:
    """The last state, and the packed states at t = 0 and after every `every`-th step.

    With `segment`, backward keeps the state before every so many steps and runs them again.
    """

    # Everything that backward reruns gets its tensors as arguments. As attributes of modules they would be
    # those of whatever call comes between forward and backward.
    def run(
        state: State, values: Sequence[Sequence[Tensor]], first: int, count: int
    ) -> tuple[State, list[State]]:
        frames = []
        if segment:
            trim()  # in backward too, where the segment after this one has just been dropped
        for index in range(first, first + count):
            for _ in range(step.substeps):
                try:
                    state = advance(state, values[(index - first) % len(values)])
                except ConvergenceError as error:
                    moment = f"in step {index + 1} (t = {(index + 1) * step.dt:g} s): "
                    raise ConvergenceError(moment + str(error), error.history) from error
            if every and (index + 1) % every == 0:
                frames.append(state)
        return state, frames

    state, frames = call.state, [call.state] if every else []
    length = segment or num_steps
    for first in range(0, num_steps, length):
        count = min(length, num_steps - first)
        values = [call.values_at(first + k) for k in range(count if call.changes else 1)]
        if segment:
            state, new = checkpoint(run, state, values, first, count, use_reentrant=False)
        else:
            state, new = run(state, values, first, count)
        frames += new
    return state, frames


def bytes_kept(call: Call, advance: Advance) -> int:
    """What backward keeps of one substep, its inputs' storage included once, in bytes."""
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    try:
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            # Held until counted: freed storages would be counted as one where their addresses coincide.
            state = advance(call.state, call.values_at(0))
    except RuntimeError as error:
        if "saved tensor hooks" not in str(error):
            raise
        return 0  # inside a torch.func transform, where checkpointing does not work either
    del state
    shared = {value.untyped_storage().data_ptr() for value in call.values.values()}
    return sum(size for pointer, size in storages.items() if pointer not in shared)


def _flat(state: State) -> list[Tensor]:
    return [state.positions, state.velocities, *state.history]
