"""Repeating a step, with and without keeping what backward needs."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from simlayer.call import Call
from simlayer.compilation import program_for
from simlayer.errors import SimulationError
from simlayer.guards import watched
from simlayer.heap import trim
from simlayer.packing import on_state, pack, unpack
from simlayer.programs import Function, Recomputed
from simlayer.state import State
from simlayer.steps.base import Step


class Progress(NamedTuple):
    """Where a rollout is: a packed state, and the worst that was seen of its contacts on the way.

    See `guards.watched`; nothing where there is no contact to watch. No gradient flows through it.
    """

    state: State
    seen: tuple[Tensor, ...] = ()


Advance = Callable[[Progress, Sequence[Tensor]], Progress]


def advance_function(
    step: Step, call: Call, backend: str | None, *, recompute: bool = False, seen: Sequence[Tensor] = ()
) -> Advance:
    """One substep, given the packed values that it reads.

    Compiled with a backend, eager without; eager with `recompute`, backward keeps its inputs only. Contacts
    are watched where `seen` has a tensor for each.
    """
    past, count = len(call.state.history), len(_flat(call.state)) + len(seen)

    def function(positions: Tensor, velocities: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        history, before, values = rest[:past], rest[past : count - 2], rest[count - 2 :]
        # Through views, so that what one step adds to a gradient is summed before it is added: in the same
        # order, to the last bit, whether or not the step is a single node of the graph.
        with call.reading([v.view_as(v) if v.requires_grad else v for v in values]):
            start = on_state(unpack, State(positions, velocities, history))
            worst = watched(step, start, before) if before else ()
            state = on_state(pack, step.substep(start))
        return state.positions, state.velocities, *state.history, *worst

    run: Function = function
    example = [*_flat(call.state), *seen, *call.values_at(0)]
    # The state is differentiable from the second step on whenever anything is.
    carried = [True] * len(_flat(call.state)) + [False] * len(seen)
    needed = carried + [tensor.requires_grad for tensor in example[count:]]
    differentiable = [call.needs_gradient() and each for each in needed]
    if backend is not None:
        key = (*call.values, step.dt, step.substeps, *map(weakref.ref, step.modules()))
        run = program_for(
            step, key=key, function=function, example=example, differentiable=differentiable, backend=backend
        )
    elif recompute:
        run = Recomputed(function, count, differentiable)

    def advance(progress: Progress, values: Sequence[Tensor]) -> Progress:
        positions, velocities, *rest = run(*_flat(progress.state), *progress.seen, *values)
        worst = tuple(tensor.detach() for tensor in rest[past:])
        return Progress(State(positions, velocities, tuple(rest[:past])), worst)

    return advance


def unroll(
    step: Step,
    call: Call,
    advance: Advance,
    num_steps: int,
    *,
    segment: int | None,
    every: int | None,
    seen: tuple[Tensor, ...] = (),
) -> tuple[Progress, list[State]]:
    """The end, and the packed states at t = 0 and after every `every`-th step.

    With `segment`, backward keeps the state before every so many steps and runs them again.
    """

    # Everything that backward reruns gets its tensors as arguments. As attributes of modules they would be
    # those of whatever call comes between forward and backward.
    def run(
        progress: Progress, values: Sequence[Sequence[Tensor]], first: int, count: int
    ) -> tuple[Progress, list[State]]:
        frames = []
        if segment:
            trim()  # in backward too, where the segment after this one has just been dropped
        for index in range(first, first + count):
            for _ in range(step.substeps):
                try:
                    progress = advance(progress, values[(index - first) % len(values)])
                except SimulationError as error:
                    error.locate(index + 1, step.dt)
                    raise
            if every and (index + 1) % every == 0:
                frames.append(progress.state)
        return progress, frames

    progress, frames = Progress(call.state, seen), [call.state] if every else []
    length = segment or num_steps
    for first in range(0, num_steps, length):
        count = min(length, num_steps - first)
        values = [call.values_at(first + k) for k in range(count if call.changes else 1)]
        if segment:
            progress, new = checkpoint(run, progress, values, first, count, use_reentrant=False)
        else:
            progress, new = run(progress, values, first, count)
        frames += new
    return progress, frames


def bytes_kept(call: Call, advance: Advance, seen: tuple[Tensor, ...] = ()) -> int:
    """What backward keeps of one substep, its inputs' storage included once, in bytes."""
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    try:
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            # Held until counted: freed storages would be counted as one where their addresses coincide.
            end = advance(Progress(call.state, seen), call.values_at(0))
    except RuntimeError as error:
        if "saved tensor hooks" not in str(error):
            raise
        return 0  # inside a torch.func transform, where checkpointing does not work either
    del end
    shared = {value.untyped_storage().data_ptr() for value in call.values.values()}
    return sum(size for pointer, size in storages.items() if pointer not in shared)


def _flat(state: State) -> list[Tensor]:
    return [state.positions, state.velocities, *state.history]
