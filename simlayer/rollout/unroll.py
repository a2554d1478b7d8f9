"""Repeating a step, with and without keeping what backward needs."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from simlayer.errors import SimulationError
from simlayer.rollout.compilation import program_for
from simlayer.rollout.contact_record import watched
from simlayer.rollout.inputs import Call
from simlayer.rollout.layout import on_state, pack, unpack
from simlayer.rollout.memory import trim
from simlayer.rollout.step_function import Program, Recomputed, repeated
from simlayer.state import State
from simlayer.steps.base import Step

# What the states of all substeps take together [bytes] for memory to be given back after every segment.
TRIM_FROM = 2**24


class Progress(NamedTuple):
    """Where a rollout is.

    Attributes:
        state: the state, packed.
        values: what the next step reads, in the order of `Call.values`.
        seen: the worst that was seen of its contacts on the way, see `guards.watched`; nothing where there is
            no contact to watch. No gradient flows through it.
    """

    state: State
    values: Sequence[Tensor]
    seen: tuple[Tensor, ...] = ()


# Maps where a rollout is to where it is after a number of substeps, all of which read the same values.
Advance = Callable[[Progress, int], Progress]


def advance_function(
    step: Step, call: Call, backend: str | None, *, recompute: bool = False, seen: Sequence[Tensor] = ()
) -> Advance:
    """A function that does substeps of a rollout.

    Compiled with a backend, eager without; eager with `recompute`, backward keeps its inputs only. Contacts
    are watched where `seen` has a tensor for each.
    """
    past, count = len(call.state.history), len(_flat(call.state)) + len(seen)

    def function(positions: Tensor, velocities: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        history, before, values = rest[:past], rest[past : count - 2], rest[count - 2 :]
        # Through views, so that what one step adds to a gradient is summed before it is added: in the same
        # order, to the last bit, whether or not the step is a part of a single node of the graph.
        with call.reading([v.view_as(v) if v.requires_grad else v for v in values]):
            start = on_state(unpack, State(positions, velocities, history))
            worst = watched(step, start, before) if before else ()
            state = on_state(pack, step.substep(start))
        return state.positions, state.velocities, *state.history, *worst

    program: Program | None = None
    example = [*_flat(call.state), *seen, *call.values_at(0)]
    # The state is differentiable from the second step on whenever anything is.
    carried = [True] * len(_flat(call.state)) + [False] * len(seen)
    needed = carried + [tensor.requires_grad for tensor in example[count:]]
    differentiable = needed if call.needs_gradient() else [False] * len(needed)
    if backend is not None:
        key = (*call.values, step.dt, step.substeps, *map(weakref.ref, step.modules()))
        program = program_for(
            step, key=key, function=function, example=example, differentiable=differentiable, backend=backend
        )
    elif recompute:
        program = Recomputed(function, count, differentiable)

    def advance(progress: Progress, substeps: int) -> Progress:
        after: Sequence[Tensor] = [*_flat(progress.state), *progress.seen]
        values = progress.values
        if program is None:
            after = repeated(lambda now: function(*now, *values), after, substeps)
        else:
            after, values = program.repeat(after, values, substeps)
        positions, velocities, *rest = after
        worst = tuple(tensor.detach() for tensor in rest[past:])
        return Progress(State(positions, velocities, tuple(rest[:past])), values, worst)

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

    # Giving memory back takes as long as a step or two.
    kept = sum(tensor.nbytes for tensor in _flat(call.state)) * num_steps * step.substeps
    large = segment is not None and kept > TRIM_FROM

    # Everything that backward reruns gets its tensors as arguments. As attributes of modules they would be
    # those of whatever call comes between forward and backward.
    def run(
        progress: Progress, changes: Sequence[Mapping[str, Tensor]], first: int, last: int
    ) -> tuple[Progress, list[State]]:
        frames = []
        if large:
            trim()  # in backward too, where the segment after this one has just been dropped
        ends = _ends(first, last, 1 if changes else every)
        for begin, end in pairwise([first, *ends]):
            if changes:
                progress = progress._replace(values=call.changed(progress.values, changes[begin - first]))
            try:
                progress = advance(progress, (end - begin) * step.substeps)
            except SimulationError as error:
                error.locate(begin + error.steps_before // step.substeps + 1, step.dt)
                raise
            if every and end % every == 0:
                frames.append(progress.state)
        return progress, frames

    progress, frames = Progress(call.state, call.values_at(0), seen), [call.state] if every else []
    length = segment or num_steps
    for first in range(0, num_steps, length):
        last = min(first + length, num_steps)
        part = (progress, call.changes[first:last], first, last)
        progress, new = checkpoint(run, *part, use_reentrant=False) if segment else run(*part)
        frames += new
    return progress, frames


def _ends(first: int, last: int, every: int | None) -> list[int]:
    """Where to stop on the way from one step to another: at every so many steps, and at the end."""
    stops = range(first - first % every + every, last, every) if every else ()
    return [*stops, last]


def bytes_kept(call: Call, advance: Advance, seen: tuple[Tensor, ...] = ()) -> int:
    """What backward keeps of one substep, its inputs' storage included once, in bytes."""
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    try:
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            # Held until counted: freed storages would be counted as one where their addresses coincide.
            end = advance(Progress(call.state, call.values_at(0), seen), 1)
    except RuntimeError as error:
        if "saved tensor hooks" not in str(error):
            raise
        return 0  # inside a torch.func transform, where checkpointing does not work either
    del end
    shared = {value.untyped_storage().data_ptr() for value in call.values.values()}
    return sum(size for pointer, size in storages.items() if pointer not in shared)


def _flat(state: State) -> list[Tensor]:
    return [state.positions, state.velocities, *state.history]
