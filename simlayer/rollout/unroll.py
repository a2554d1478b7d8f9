"""Repeating a step, with and without keeping what backward needs."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from simlayer.errors import SimulationError
from simlayer.rollout.compilation import compiled_step
from simlayer.rollout.contact_record import record_contacts
from simlayer.rollout.inputs import RolloutInputs
from simlayer.rollout.layout import on_state, pack, unpack
from simlayer.rollout.memory import trim
from simlayer.rollout.obstacle_moves import check_obstacle_moves
from simlayer.rollout.step_function import Function, RecomputedStep, StepFunction, repeated
from simlayer.state import State
from simlayer.steps.base import Step
from simlayer.steps.internal_variables import advanced

# From this size of all states together [bytes] on, memory is given back after every segment.
TRIM_FROM = 2**24


class Carry(NamedTuple):
    """The tensors that one step hands to the next.

    Attributes:
        state: the state, packed.
        record: the worst of its contacts so far, see `contact_record`; empty where none is recorded. No
            gradient flows through it.
        tangents: in forward mode the derivatives of the state's tensors along P directions, `(P, ...)` each.
        memory: that of the policy, if there is one.
    """

    state: State
    record: tuple[Tensor, ...] = ()
    tangents: tuple[Tensor, ...] = ()
    memory: tuple[Tensor, ...] = ()

    def tensors(self) -> tuple[Tensor, ...]:
        """Return its tensors one after another, those that a step changes, without tangents."""
        return self.state.positions, self.state.velocities, *self.state.history, *self.record

    def with_tensors(self, tensors: Sequence[Tensor]) -> Carry:
        """Return a carry like this one with other tensors, in the order of `tensors()`."""
        end = 2 + len(self.state.history)
        state = State(tensors[0], tensors[1], tuple(tensors[2:end]))
        return self._replace(state=state, record=tuple(tensors[end:]), tangents=())

    def detached(self) -> Carry:
        """Return this carry as a constant: no derivatives pass to what was before, in either mode."""
        return Carry(
            on_state(Tensor.detach, self.state),
            self.record,
            tuple(map(torch.zeros_like, self.tangents)),
            tuple(tensor.detach() for tensor in self.memory),
        )


Values = Mapping[str, Tensor]
# Maps a carry and the values that steps read to the carry after a number of substeps, and the values for
# those after them.
Advance = Callable[[Carry, Values, int], tuple[Carry, Values]]


# Maps the index of a step, the carry before it and the values that it would read to the carry with another
# memory, and the values that a policy has set.
Decide = Callable[[int, Carry, Values], tuple[Carry, Values]]


def substep_function(step: Step, inputs: RolloutInputs, start: Carry) -> Function:
    """Return a substep as a function of the tensors of a carry like `start`, then the values of `inputs`."""
    names, count = tuple(inputs.values), len(start.tensors())

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        carry = start.with_tensors(tensors[:count])
        # Through views, so that what one step adds to a gradient is summed before it is added: in the same
        # order, to the last bit, whether or not the step is a part of a single node of the graph.
        values = [v.view_as(v) if v.requires_grad else v for v in tensors[count:]]
        with inputs.applied(dict(zip(names, values, strict=True))):
            state = on_state(unpack, carry.state)
            record = record_contacts(step, state, carry.record)
            return Carry(on_state(pack, advanced(step, state)), record).tensors()

    return function


def advance_function(
    step: Step, inputs: RolloutInputs, start: Carry, backend: str | None, *, recompute: bool = False
) -> Advance:
    """Return a function that does substeps of a rollout.

    Args:
        step: the step.
        inputs: what it reads.
        start: the carry at the beginning; contacts are recorded if it has a record.
        backend: the compiler's, None for eager.
        recompute: eager, with backward keeping the inputs of each substep only.
    """
    names, count = tuple(inputs.values), len(start.tensors())
    function = substep_function(step, inputs, start)
    example = [*start.tensors(), *inputs.values_at(0).values()]
    # The state is differentiable from the second step on whenever anything is.
    needed = [True] * (count - len(start.record)) + [False] * len(start.record)
    answers = inputs.feedback.first if inputs.feedback else {}  # a policy's, which follow from the state
    pairs = zip(names, example[count:], strict=True)
    needed += [tensor.requires_grad or name in answers for name, tensor in pairs]
    differentiable = needed if inputs.needs_gradient() else [False] * len(needed)
    step_function: StepFunction | None = None
    if backend is not None:
        step_function = compiled_step(
            step, step_key(step, names), function, names, example, differentiable, backend
        )
    elif recompute:
        step_function = RecomputedStep(function, names, count, differentiable, inputs.snapshot.restored)

    def advance(carry: Carry, values: Values, substeps: int) -> tuple[Carry, Values]:
        if step_function is None:
            shared = values.values()
            after: Sequence[Tensor] = carry.tensors()
            after = repeated(lambda now: function(*now, *shared), after, substeps)
        else:
            after, values = step_function.repeat(carry.tensors(), values, substeps)
        end = carry.with_tensors(after)
        return end._replace(record=tuple(tensor.detach() for tensor in end.record)), values

    return advance


def step_key(step: Step, names: Sequence[str]) -> Hashable:
    """Return what a step's function depends on, other than its arguments."""
    return (*names, step.dt, step.substeps, *map(weakref.ref, step.modules()))


def unroll(
    step: Step,
    inputs: RolloutInputs,
    start: Carry,
    advance: Advance,
    num_steps: int,
    *,
    decide: Decide | None,
    segment: int | None,
    every: int | None,
    truncate: int | None = None,
) -> tuple[Carry, list[Carry]]:
    """Return the carry at the end, and those at t = 0 and after every `every`-th step.

    Args:
        step, inputs, start: as for `advance_function`.
        advance: does the substeps.
        num_steps: how many steps.
        decide: asks the policy, if there is one.
        segment: backward keeps the carry before every so many steps and runs them again; None: it keeps all.
        every: the steps from one frame to the next, None for no frames.
        truncate: the carry is a constant after every so many steps.
    """

    # Giving memory back takes as long as a step or two.
    kept = sum(tensor.nbytes for tensor in start.tensors()) * num_steps * step.substeps
    large = segment is not None and kept > TRIM_FROM

    # Everything that backward reruns gets its tensors as arguments. As attributes of modules they would be
    # those of whatever call comes between forward and backward.
    def run(
        carry: Carry, values: Values, changes: Sequence[Values], first: int, last: int
    ) -> tuple[Carry, Values, list[Carry]]:
        frames = []
        if large:
            trim()  # in backward too, where the segment after this one has just been dropped
        with inputs.snapshot.restored():  # without the settings that were assigned since the call
            for begin, end in pairwise([first, *_ends(first, last, stride, truncate)]):
                if truncate and begin and begin % truncate == 0:
                    carry = carry.detached()
                if changes:
                    values = {**values, **changes[begin - first]}
                if decide and (changes or begin % interval == 0):
                    carry, values = decide(begin, carry, values)
                try:
                    check_obstacle_moves(step, inputs, begin, carry.state)
                    carry, values = advance(carry, values, (end - begin) * step.substeps)
                except SimulationError as error:
                    error.locate(begin + error.steps_before // step.substeps + 1, step.dt)
                    raise
                if every and end % every == 0:
                    frames.append(carry)
        return carry, values, frames

    stride = 1 if inputs.changes else every
    interval = inputs.feedback.interval if inputs.feedback else 1
    if decide:
        stride = math.gcd(interval, stride or 0)
    values: Values = inputs.values_at(0)
    carry, frames = start, [start] if every else []
    length = segment or num_steps
    for first in range(0, num_steps, length):
        last = min(first + length, num_steps)
        part = (carry, values, inputs.changes[first:last], first, last)
        carry, values, new = checkpoint(run, *part, use_reentrant=False) if segment else run(*part)
        frames += new
    return carry, frames


def _ends(first: int, last: int, *intervals: int | None) -> list[int]:
    """Return the steps at which to stop on the way from one to another: multiples of these, and the last."""
    stops = {
        stop for every in intervals if every for stop in range(first - first % every + every, last, every)
    }
    return [*sorted(stops), last]


def bytes_kept(inputs: RolloutInputs, start: Carry, advance: Advance) -> int:
    """Return how many bytes backward keeps of one substep, not counting the values that all steps share."""
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    try:
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            # Kept until counted: freed storages would be counted as one where their addresses coincide.
            end = advance(start, inputs.values_at(0), 1)
    except RuntimeError as error:
        if "saved tensor hooks" not in str(error):
            raise
        return 0  # inside a torch.func transform, where checkpointing does not work either
    del end
    shared = {value.untyped_storage().data_ptr() for value in inputs.values.values()}
    return sum(size for pointer, size in storages.items() if pointer not in shared)
