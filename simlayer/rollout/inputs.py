"""The inputs of one rollout: the state and every value by name, checked, expanded to the batch, packed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from simlayer.quantities.arrays import described
from simlayer.quantities.named import Match, NamedTensors
from simlayer.quantities.quantity import check_own_axes
from simlayer.quantities.snapshot import Snapshot
from simlayer.quantities.values import derived_values, physical_values, updated_values
from simlayer.rollout.feedback import Feedback
from simlayer.rollout.layout import on_state, pack, pack_value, unpack, unpack_value
from simlayer.state import State
from simlayer.steps.base import Step
from simlayer.steps.internal_variables import begun
from simlayer.steps.rest_shape import rest_shape_values
from simlayer.steps.rest_shape_checks import check_constant
from simlayer.steps.state_checks import check_precision, check_tensor

Named = Mapping[str, Tensor]


class _Given(NamedTuple):
    """A value as the caller gave it, under the name that the caller used."""

    name: str
    match: Match
    value: Tensor


@dataclass(frozen=True)
class RolloutInputs:
    """The inputs of one rollout, packed.

    Attributes:
        state: the initial state, packed.
        values: everything that the step reads, by full name, packed.
        changes: for each step the values that differ from `values`; empty without controls.
        named: the tensors of the step, in whose place its modules read these values.
        timed: the physical values of the quantities that are controls, with time first.
        snapshot: what else the step is at the time of the call, its settings and parts.
        feedback: the policy that sets some of the values, None without one.
    """

    state: State
    values: dict[str, Tensor]
    changes: list[dict[str, Tensor]]
    named: NamedTensors = field(repr=False)
    snapshot: Snapshot = field(repr=False)
    timed: dict[str, Tensor] = field(default_factory=dict, repr=False)
    feedback: Feedback | None = field(default=None, repr=False)

    def applied(self, values: Named | None = None) -> AbstractContextManager[None]:
        """Return a context in which the modules read these packed values, by default those of step 0."""
        return self.named.substituted(self._first if values is None else self.unpacked(values))

    @cached_property
    def _first(self) -> dict[str, Tensor]:
        return self.unpacked(self.values_at(0))

    def unpacked(self, values: Named) -> dict[str, Tensor]:
        """Return packed values in the usual order of axes."""
        axes = self.named.own_axes
        return {n: unpack_value(value, axes[n]) if n in axes else value for n, value in values.items()}

    def values_at(self, index: int) -> dict[str, Tensor]:
        """Return what the step with this index reads."""
        return {**self.values, **self.changes[index]} if self.changes else self.values

    def last_values(self) -> dict[str, Tensor]:
        """Return what the last step has read, after the rollout."""
        return {**self.values_at(len(self.changes) - 1), **(self.feedback.last if self.feedback else {})}

    @property
    def batch_shape(self) -> torch.Size:
        """The shape of the batch, empty without one."""
        return self.state.positions.shape[2:]

    def tensors(self) -> list[Tensor]:
        """Return everything that a rollout depends on, one after another.

        The state, the values, the changes of all steps, the controls, and what a policy depends on.
        """
        changed = (value for change in self.changes for value in change.values())
        state = (*self.state[:2], *self.state.history)
        own = self.feedback.tensors() if self.feedback else []
        return [*state, *self.values.values(), *changed, *self.timed.values(), *own]

    def with_tensors(self, tensors: Sequence[Tensor]) -> RolloutInputs:
        """Return inputs like these with other tensors, in the order of `tensors()`."""
        given = iter(tensors)
        state = on_state(lambda _: next(given), self.state)
        values = {name: next(given) for name in self.values}
        changes = [{name: next(given) for name in change} for change in self.changes]
        timed = {name: next(given) for name in self.timed}
        feedback = self.feedback.with_tensors(list(given)) if self.feedback else None
        return replace(self, state=state, values=values, changes=changes, timed=timed, feedback=feedback)

    def needs_gradient(self) -> bool:
        """Return whether anything that the rollout reads requires grad, with gradients enabled."""
        tensors = [*self.state[:2], *self.state.history, *self.values.values()]
        tensors += [value for change in self.changes[:1] for value in change.values()]
        tensors += self.feedback.tensors() if self.feedback else []
        return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def read_inputs(
    step: Step, num_steps: int, state: State, parameters: Named | None, controls: Named | None
) -> RolloutInputs:
    """Check and pack what a rollout was given.

    Raises:
        KeyError: if a name is unknown, or the end of several names.
        TypeError: if a value is no tensor, or of another dtype or on another device than the step.
        ValueError: if a shape does not fit, or a quantity is given twice.
    """
    named = NamedTensors(step)
    check_precision(named, step.free.dtype)
    constant = _given(named, step, "parameters", parameters)
    timed = _given(named, step, "controls", controls)
    check_constant(timed)
    if twice := sorted(constant.keys() & timed.keys()):
        raise ValueError(f"{twice[0]!r} is given in parameters and in controls; give it in one.")
    slices = {name: _slices(named, control, num_steps) for name, control in timed.items()}

    def controls_at(index: int) -> dict[str, Tensor]:
        return {name: timed[name].match.physical(parts[index]) for name, parts in slices.items()}

    constants = {name: given.match.physical(given.value) for name, given in constant.items()}
    physical = physical_values(named, constants)
    first = {**physical, **controls_at(0)} if slices else physical
    shapes = _batch_shapes(named, first, {name: given.name for name, given in (constant | timed).items()})
    packed = _packed_state(state, shapes)
    weights = {name: constants.get(name, own) for name, own in named.weights.items()}
    # After the shapes have been checked, because what does not fit cannot be computed with.
    shape = rest_shape_values(named, physical, given=constants)
    complete = physical | weights
    read = complete | shape
    values = _packed(complete | derived_values(named, read), named.own_axes) | named.buffers | shape
    changes = []
    for index in range(num_steps if slices else 0):
        changes.append(_packed(updated_values(named, read, controls_at(index)), named.own_axes))
    paths = {
        n: given.match.physical(given.value.detach()) for n, given in timed.items() if given.match.quantity
    }
    return RolloutInputs(packed, values, changes, named, Snapshot(step), paths)


def started(step: Step, inputs: RolloutInputs) -> RolloutInputs:
    """Return inputs with what a step carries in its state, which follows from the values of this call."""
    with inputs.applied():
        unpacked = on_state(unpack, inputs.state)
        state = begun(step, unpacked)
    return inputs if state is unpacked else replace(inputs, state=on_state(pack, state))


def _given(named: NamedTensors, step: Step, argument: str, values: Named | None) -> dict[str, _Given]:
    """Return the given values by the full physical names that they stand for."""
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise TypeError(f"{argument} must map names of quantities to tensors, got {described(values)}.")
    found: dict[str, _Given] = {}
    for name, tensor in values.items():
        try:
            match = named.find(name)
            check_tensor(name, tensor, step.free)
        except (KeyError, TypeError, ValueError) as error:
            raise type(error)(f"{argument}: {error.args[0]}") from None
        if match.name in found:
            raise ValueError(f"{match.name!r} is given twice, the second time as {name!r}; give it once.")
        if not tensor.numel():
            raise ValueError(f"{name} must hold at least one number, got shape {tuple(tensor.shape)}.")
        found[match.name] = _Given(name, match, tensor)
    return found


def _packed(values: Named, own_axes: Mapping[str, int]) -> dict[str, Tensor]:
    """Return values with the batch last; weights, which have no own axes, as they are."""
    return {n: pack_value(value, own_axes[n]) if n in own_axes else value for n, value in values.items()}


def _batch_shapes(
    named: NamedTensors, values: Named, labels: Mapping[str, str]
) -> Iterator[tuple[str, torch.Size]]:
    """Yield the batch shape of every quantity that has one, with the name that the caller used."""
    for name, entry in named.quantities.items():
        value, axes, label = values[name], entry.quantity.own_axes, labels.get(name, name)
        check_own_axes(entry.quantity, value, entry.module.extents, name=label)
        if value.ndim > axes:
            yield label, value.shape[: value.ndim - axes]


def _slices(named: NamedTensors, control: _Given, num_steps: int) -> tuple[Tensor, ...]:
    value = control.value
    if value.ndim == 0 or len(value) != num_steps:
        raise ValueError(
            f"control {control.name!r} has shape {tuple(value.shape)}; its first axis is time: {num_steps} "
            "steps."
        )
    if entry := named.quantities.get(control.match.name):
        check_own_axes(entry.quantity, value, entry.module.extents, name=control.name, steps=num_steps)
    # Once for all steps: taking control[t] at each step would make backward quadratic in their number.
    return value.unbind(0)


def _packed_state(state: State, shapes: Iterator[tuple[str, torch.Size]]) -> State:
    batches = [
        *shapes,
        ("positions", state.positions.shape[:-2]),
        ("velocities", state.velocities.shape[:-2]),
        *((f"history[{k}]", past.shape[:-2]) for k, past in enumerate(state.history)),
    ]
    try:
        batch = torch.broadcast_shapes(*(shape for _, shape in batches))
    except RuntimeError:
        listed = ", ".join(f"{name} {tuple(shape)}" for name, shape in batches)
        raise ValueError(f"these batch shapes do not broadcast: {listed}.") from None
    return on_state(lambda x: pack(x.expand(*batch, *x.shape[-2:])), state)
