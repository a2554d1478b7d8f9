"""A policy in one rollout: what it is asked, and what becomes of its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from simlayer.autodiff.torch_private import modification_counts, transforms_active
from simlayer.quantities.arrays import described
from simlayer.quantities.named import Match, NamedTensors
from simlayer.quantities.quantity import check_own_axes
from simlayer.quantities.snapshot import modified_in_place
from simlayer.quantities.values import updated_values
from simlayer.rollout.extremes import Extremes
from simlayer.rollout.layout import on_state, pack_value, unpack, unpack_value
from simlayer.rollout.policy import RecurrentPolicy, ask, interval_of
from simlayer.state import State
from simlayer.steps.state_checks import check_tensor

Memory = tuple[Tensor, ...]
Packed = Mapping[str, Tensor]


class Feedback:
    """Asks a policy for the values of some quantities while a rollout runs.

    The policy has the weights of the time of the call, in backward too, where its segment may be run again.

    Args:
        policy: the policy.
        inputs: what it is called with besides the state.
        named: the tensors of the step.
        values: what the step reads by name, packed.
        state: the initial state, with the batch of the rollout.
        memory: the policy's memory at the start, None for its initial one.

    Attributes:
        answers: the names of the quantities that the policy sets.
        first: the values that the policy sets at the start, and what derives from them, packed.
        memory: its memory at the start.
        interval: after how many steps it is asked again.
        random: whether it draws random numbers.
        sources: the names of what derived values follow from.
        last: the values that it has set last, like `first`.

    Raises:
        KeyError: if it names an unknown quantity.
        TypeError, ValueError: if it does not return values by name, or one does not fit.
    """

    def __init__(
        self,
        policy: nn.Module,
        inputs: Sequence[Tensor],
        *,
        named: NamedTensors,
        values: Packed,
        state: State,
        memory: Memory | None,
    ) -> None:
        self._policy, self._inputs, self._named = policy, tuple(inputs), named
        for index, tensor in enumerate(self._inputs):
            if not isinstance(tensor, Tensor):
                raise TypeError(f"policy_inputs[{index}] must be a tensor, got {described(tensor)}.")
        self._tensors = NamedTensors(policy)
        self._weights = self._tensors.parameters
        self._versions = modification_counts(list(self._weights.values()))
        self.interval = interval_of(policy)
        self._extremes = Extremes()
        self.last: dict[str, Tensor] = {}
        self.memory: Memory = self._initial_memory(state) if memory is None else memory
        # It is asked again at the first step, for the same answer where it draws random numbers, too.
        devices = [state.positions.device] if state.positions.is_cuda else []
        with torch.random.fork_rng(devices=devices):
            before = _random_states(devices)
            answer, _ = self._asked(state, self.memory, self._weights, self._inputs)
            after = _random_states(devices)
        self.random = not all(map(torch.equal, before, after))
        self._matches = self._checked(answer, state)
        self.answers = tuple(match.name for match in self._matches.values())
        # What values derive from: quantities, weights, and buffers of another rest shape than the mesh has.
        buffers = named.buffers
        own = {*named.quantities, *named.weights} | {n for n in buffers if values[n] is not buffers[n]}
        self.sources = tuple(name for name in values if name in own)
        self._derived = self._deriving(answer, values)
        names = () if self._derived == [] else self.sources
        self._read = tuple(name for name in names if name not in self.answers)
        self.first = self._set(answer, values)
        self.note(self.first)

    def tensors(self) -> list[Tensor]:
        """Return everything that its answers depend on besides the state."""
        return [*self._weights.values(), *self._inputs, *self.memory]

    def with_tensors(self, tensors: Sequence[Tensor]) -> Feedback:
        """Return a feedback like this one with other tensors, in the order of `tensors()`."""
        other, given = copy(self), iter(tensors)
        other._weights = {name: next(given) for name in self._weights}
        other._versions = modification_counts(list(other._weights.values()))
        other._inputs = tuple(next(given) for _ in self._inputs)
        other.memory = tuple(given)
        other._extremes, other.last = Extremes(), {}
        return other

    def arguments(self, state: State, memory: Memory, values: Packed) -> list[Tensor]:
        """Return what `answer` takes, given the packed state before a step and what it would read."""
        read = (values[name] for name in self._read)
        return [*state[:2], *memory, *self._weights.values(), *self._inputs, *read]

    def answer(self, *tensors: Tensor) -> list[Tensor]:
        """Return what the policy sets, in the order of `first`, and its memory, of `arguments`."""
        given = iter(tensors)
        state, memory = State(next(given), next(given)), tuple(next(given) for _ in self.memory)
        weights = {name: next(given) for name in self._weights}
        inputs = tuple(next(given) for _ in self._inputs)
        answer, memory = self._asked(on_state(unpack, state), memory, weights, inputs)
        if answer.keys() != self._matches.keys():
            raise ValueError(
                f"{self._name} must set the same quantities at every call, got {sorted(answer)} after "
                f"{sorted(self._matches)}."
            )
        found = self._set(answer, dict(zip(self._read, given, strict=True)))
        return [*(found[name] for name in self.first), *memory]

    def check_unmodified(self) -> None:
        """Raise RuntimeError if weights of the policy were modified in place since the call."""
        if modification_counts(list(self._weights.values())) != self._versions:
            raise modified_in_place()

    def note(self, values: Packed) -> None:
        """Remember, for `check` and `last`, what was set."""
        self.last = {name: values[name].detach() for name in self.first}
        self._extremes.note({name: self.last[name] for name in self.answers})

    def renewed(self, values: Packed) -> Packed:
        """Return values whose derived ones follow from what was set last, where controls have changed."""
        axes = self._named.own_axes
        answer = {name: unpack_value(values[name], axes[name]) for name in self.answers}
        return {**values, **self._packed(answer, values)}

    def check(self, step: int | None = None) -> None:
        """Raise ValueError if a quantity was set out of its range; waits for the device once.

        Args:
            step: the index of the step before which it was asked last, for the message.
        """
        self._extremes.check(self._named, self._name, step)

    @property
    def _name(self) -> str:
        return f"policy ({type(self._policy).__name__})"

    def _initial_memory(self, state: State) -> Memory:
        if not isinstance(self._policy, RecurrentPolicy):
            return ()
        return self._checked_memory(self._policy.initial_memory(state, *self._inputs))

    def _checked_memory(self, memory: Any) -> Memory:
        parts = memory if isinstance(memory, tuple) else (None,)
        if not all(isinstance(part, Tensor) and part.is_floating_point() for part in parts):
            raise TypeError(
                f"the memory of {self._name} must be a tuple of tensors of floating point, got "
                f"{described(memory)}."
            )
        return memory

    def _asked(
        self, state: State, memory: Memory, weights: Mapping[str, Tensor], inputs: tuple[Tensor, ...]
    ) -> tuple[Mapping[str, Tensor], Memory]:
        with self._tensors.substituted(weights):
            answer, memory = ask(self._policy, state, memory, inputs)
        if not isinstance(answer, Mapping):
            raise TypeError(
                f"{self._name} must return a mapping of names of quantities to tensors"
                f"{', and its memory' if self.memory else ''}, got {described(answer)}."
            )
        return answer, self._checked_memory(memory)

    def _checked(self, answer: Mapping[str, Tensor], state: State) -> dict[str, Match]:
        """Return what the names in an answer stand for; raise an error if a value does not fit."""
        matches, batch = {}, state.positions.shape[:-2]
        for name, value in answer.items():
            try:
                match = self._named.find(name)
                check_tensor(name, value, state.positions)
            except (KeyError, TypeError, ValueError) as error:
                raise type(error)(f"{self._name}: {error.args[0]}") from None
            entry = self._named.quantities.get(match.name)
            if entry is None:
                raise ValueError(f"{self._name} must set quantities, got {name!r}, a weight of the step.")
            check_own_axes(entry.quantity, value, entry.module.extents, name=f"{self._name}: {name}")
            own = value.shape[: max(value.ndim - entry.quantity.own_axes, 0)]
            pairs = zip(reversed(own), reversed(batch), strict=False)
            if len(own) > len(batch) or any(size not in (1, whole) for size, whole in pairs):
                raise ValueError(
                    f"{self._name} has set {name!r} for a batch {tuple(own)}, the rollout has a batch "
                    f"{tuple(batch)}: start from a state of that batch."
                )
            matches[name] = match
        return matches

    def _physical(self, answer: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {self._matches[name].name: self._matches[name].physical(v) for name, v in answer.items()}

    def _set(self, answer: Mapping[str, Tensor], values: Packed) -> dict[str, Tensor]:
        """Return the values that change with an answer, packed."""
        return self._packed(self._physical(answer), values)

    def _packed(self, physical: Mapping[str, Tensor], values: Packed) -> dict[str, Tensor]:
        """Return physical values, and what derives from them and the others, packed."""
        axes = self._named.own_axes
        changed = updated_values(self._named, self._unpacked(values), physical, self._derived)
        return {name: pack_value(value, axes[name]) for name, value in changed.items()}

    def _unpacked(self, values: Packed) -> dict[str, Tensor]:
        axes, known = self._named.own_axes, {name: values[name] for name in self.sources if name in values}
        return {n: unpack_value(value, axes[n]) if n in axes else value for n, value in known.items()}

    def _deriving(self, answer: Mapping[str, Tensor], values: Packed) -> list[str] | None:
        """Return the names of what derives from the answers, None where that cannot be found out."""
        if transforms_active():
            return None
        known = {name: value.detach() for name, value in self._unpacked(values).items()}
        physical = {name: value.detach().requires_grad_() for name, value in self._physical(answer).items()}
        with torch.enable_grad():
            changed = updated_values(self._named, known, physical)
        return [name for name, value in changed.items() if value.requires_grad and name not in physical]


def _random_states(devices: Sequence[torch.device]) -> list[Tensor]:
    """Return the states of torch's generators of random numbers, of the CPU and of these devices."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in devices)]
