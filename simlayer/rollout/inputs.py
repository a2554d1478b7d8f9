"""What one call of a rollout reads: the state and every quantity, checked, expanded to the batch, packed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from simlayer.errors import hint
from simlayer.quantities.binding import Binding, changed_values, values_of
from simlayer.quantities.named import NamedTensors
from simlayer.quantities.quantity import PhysicalModule, Quantity, check_own_axes
from simlayer.rollout.layout import on_state, pack, pack_value, unpack, unpack_value
from simlayer.state import State
from simlayer.steps.base import Step

Named = Mapping[str, Tensor]


@dataclass(frozen=True)
class Call:
    """The inputs of one rollout, packed.

    Attributes:
        state: the initial state, packed.
        values: everything that the step reads, by full name, packed.
        changes: for each step what differs from `values`; empty without controls.
        own_axes: how many own axes each packed value has; the other names are not packed.
        binding: makes the step's modules read values in the order of `values`.
    """

    state: State
    values: dict[str, Tensor]
    changes: list[dict[str, Tensor]]
    own_axes: dict[str, int] = field(repr=False)
    binding: Binding = field(repr=False)

    def reading(self, values: Iterable[Tensor] | None = None) -> AbstractContextManager[None]:
        """A context in which the step's modules read these values, given in the order of `self.values`.

        By default those of the first step.
        """
        return self.binding(self._first if values is None else self._unpacked(values))

    @cached_property
    def _first(self) -> list[Tensor]:
        return self._unpacked(self.values_at(0))

    def _unpacked(self, values: Iterable[Tensor]) -> list[Tensor]:
        return [
            unpack_value(value, self.own_axes[name]) if name in self.own_axes else value
            for name, value in zip(self.values, values, strict=True)
        ]

    def values_at(self, index: int) -> list[Tensor]:
        """What the step with this index reads, in the order of `self.values`."""
        values = list(self.values.values())
        return self.changed(values, self.changes[index]) if self.changes else values

    def changed(self, values: Sequence[Tensor], change: Named) -> list[Tensor]:
        """Values in the order of `self.values`, with those of a change in their places."""
        pairs = zip(self.values, values, strict=True)
        return [change.get(name, value) for name, value in pairs]

    @property
    def batch_shape(self) -> torch.Size:
        return self.state.positions.shape[2:]

    def needs_gradient(self) -> bool:
        tensors = [*self.state[:2], *self.state.history, *self.values.values()]
        tensors += [value for change in self.changes[:1] for value in change.values()]
        return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def read_call(
    step: Step, num_steps: int, state: State, parameters: Named | None, controls: Named | None
) -> Call:
    """Check what a rollout was given and arrange it; raises KeyError, TypeError or ValueError by name."""
    parameters, controls = parameters or {}, controls or {}
    held = NamedTensors(step)
    _check_given(step, parameters, controls, [*held.quantities, *held.weights])
    slices = {name: _slices(name, control, num_steps) for name, control in controls.items()}
    now = {name: parts[0] for name, parts in slices.items()}
    tensors = {**held.parameters, **parameters}
    first = {**tensors, **now}
    shapes = [_batch_shape(name, entry, first[name]) for name, entry in held.quantities.items()]
    packed = _packed_state(step, state, shapes)

    def arranged(values: Named) -> dict[str, Tensor]:
        return {name: pack_value(value, held.own_axes[name]) for name, value in values.items()}

    physical = values_of(held, tensors)
    values = arranged(physical)
    values |= {name: tensors[name] for name in held.weights} | held.buffers
    changes: list[dict[str, Tensor]] = []
    for index in range(num_steps if slices else 0):
        now = {name: parts[index] for name, parts in slices.items()}
        change = arranged(changed_values(held, physical, {**tensors, **now}, now))
        changes.append(change | {name: part for name, part in now.items() if name in held.weights})
    call = Call(packed, values, changes, held.own_axes, Binding(held, values))
    # What a step carries follows from the quantities of this call.
    with call.reading():
        unpacked = on_state(unpack, packed)
        started = step.start(unpacked)
    return call if started is unpacked else replace(call, state=on_state(pack, started))


def _check_given(step: Step, parameters: Named, controls: Named, known: list[str]) -> None:
    for name, tensor in (*parameters.items(), *controls.items()):
        check_name(name, known)
        _check_tensor(name, tensor, step)
    if both := sorted(parameters.keys() & controls.keys()):
        raise ValueError(f"{both[0]!r} is given in parameters and in controls; give it in one.")


def check_name(name: str, known: Iterable[str]) -> None:
    """Raise KeyError, with the nearest known name, unless the name is known."""
    known = list(known)
    if name not in known:
        raise KeyError(f"no quantity is named {name!r}; {hint(name, known)}")


def _batch_shape(name: str, entry: tuple[PhysicalModule, Quantity], tensor: Tensor) -> tuple[str, torch.Size]:
    module, quantity = entry
    check_own_axes(quantity, tensor, module._extents, name=name)
    return name, tensor.shape[: max(tensor.ndim - quantity.own_axes, 0)]


def _slices(name: str, control: Tensor, num_steps: int) -> tuple[Tensor, ...]:
    if control.ndim == 0 or len(control) != num_steps:
        raise ValueError(
            f"control {name!r} has shape {tuple(control.shape)}; its first axis is time: {num_steps} steps."
        )
    # Once for all steps: taking control[t] at each step would make backward quadratic in their number.
    return control.unbind(0)


def _check_tensor(name: str, tensor: Tensor, step: Step) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(tensor).__name__}.")
    expected = step.free
    if tensor.dtype != expected.dtype:
        raise TypeError(
            f"{name} is {tensor.dtype} but the rollout's buffers are {expected.dtype}; "
            f"convert one: rollout.to({tensor.dtype}) or {name}.to({expected.dtype})."
        )
    if tensor.device != expected.device:
        raise TypeError(
            f"{name} is on {tensor.device} but the rollout is on {expected.device}; "
            f"move one: rollout.to({str(tensor.device)!r}) or {name}.to({str(expected.device)!r})."
        )


def _packed_state(step: Step, state: State, shapes: list[tuple[str, torch.Size]]) -> State:
    for name, tensor in (("positions", state.positions), ("velocities", state.velocities)):
        _check_tensor(name, tensor, step)
        if tensor.shape[-2:] != (step.num_vertices, 3):
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}; expected (*batch, {step.num_vertices}, 3)."
            )
    shapes = [(name, shape) for name, shape in shapes if shape]
    shapes += [("positions", state.positions.shape[:-2]), ("velocities", state.velocities.shape[:-2])]
    try:
        batch = torch.broadcast_shapes(*(shape for _, shape in shapes))
    except RuntimeError:
        listed = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes)
        raise ValueError(f"these batch shapes do not broadcast: {listed}.") from None
    return on_state(lambda x: pack(x.expand(*batch, *x.shape[-2:])), state)
