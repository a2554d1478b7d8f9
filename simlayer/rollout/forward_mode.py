"""Rollouts in forward mode: derivatives along directions that travel with the state.

However many steps there are, a rollout then keeps one state and its derivatives: there is no graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from simlayer.autodiff.forward_mode import call_with_tangents, carries_tangents
from simlayer.autodiff.torch_private import transforms_active
from simlayer.errors import TracingError
from simlayer.rollout.inputs import RolloutInputs
from simlayer.rollout.step_function import Function, repeated
from simlayer.rollout.tangent_step import tangent_step
from simlayer.rollout.unroll import Advance, Carry, Values, step_key, substep_function
from simlayer.state import State
from simlayer.steps.base import Step


class Tangents:
    """The derivatives of tensors along P directions, `(P, ...)` each, by the tensors that they belong to.

    Args:
        tensors: found by identity, so that the caller has to keep them alive.
        tangents: of each, None for zero.
    """

    def __init__(self, tensors: Sequence[Tensor], tangents: Sequence[Tensor | None]) -> None:
        # Derivatives of numbers without axes may come in double precision, and would turn those of the state
        # into it.
        self._tangents = {
            id(tensor): tangent.to(tensor.dtype)
            for tensor, tangent in zip(tensors, tangents, strict=True)
            if tangent is not None
        }
        self.count = len(next(iter(self._tangents.values())))
        self._named: dict[str, tuple[Tensor, Tensor]] = {}
        self._present: dict[int, Tensor] = {}

    def has(self, tensor: Tensor) -> bool:
        """Return whether a tensor has derivatives that are not all known to be zero."""
        return id(tensor) in self._tangents or id(tensor) in self._present

    def set_present(self, named: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Set further tensors by name with their tangents, in place of those that had these names before."""
        self._named |= named
        self._present = {id(tensor): tangent for tensor, tangent in self._named.values()}

    def of(self, tensor: Tensor) -> Tensor:
        """Return the derivatives of a tensor."""
        if id(tensor) in self._present:
            return self._present[id(tensor)]
        found = self._tangents.get(id(tensor))
        return torch.zeros_like(tensor).expand(self.count, *tensor.shape) if found is None else found

    def of_state(self, state: State) -> tuple[Tensor, ...]:
        """Return the derivatives of the tensors of a state."""
        return tuple(map(self.of, (*state[:2], *state.history)))


def in_forward_mode(step: Step, inputs: RolloutInputs) -> bool:
    """Return whether a rollout is to carry the derivatives of these inputs itself.

    Not those of `torch.autograd.forward_ad` through implicit steps: these take up dual tensors one by one,
    and torch has no forward mode within that one.
    """
    return (step.explicit or transforms_active()) and carries_tangents(inputs.tensors())


def run_in_forward_mode(
    run: Callable[[RolloutInputs, Tangents], list[Carry]], inputs: RolloutInputs
) -> list[Carry]:
    """Return the carries that `run` returns with tangents for plain inputs, as tensors in forward mode."""
    width = 2 + len(inputs.state.history)

    def run_plainly(
        primals: Sequence[Tensor], tangents: Sequence[Tensor | None]
    ) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        moving, place = _directions_that_matter(tangents)
        carries = run(inputs.with_tensors(primals), Tangents(primals, moving))
        # What a node of a graph returns is neither one of its arguments nor returned twice.
        moved = [tensor for carry in carries for tensor in (*carry.tensors()[:width], *carry.memory)]
        results = [tensor.clone() for tensor in moved]
        return results, [place(tangent) for carry in carries for tangent in carry.tangents]

    results = call_with_tangents(run_plainly, inputs.tensors())
    whole = width + (len(inputs.feedback.memory) if inputs.feedback else 0)
    parts = (results[first : first + whole] for first in range(0, len(results), whole))
    return [
        Carry(State(part[0], part[1], tuple(part[2:width])), memory=tuple(part[width:])) for part in parts
    ]


def _directions_that_matter(
    tangents: Sequence[Tensor | None],
) -> tuple[list[Tensor | None], Callable[[Tensor], Tensor]]:
    """Return tangents along those directions only that change anything, and what adds the others, as zeros.

    A time of release, say, or what an observation alone reads, does not change a rollout.
    """
    known = [tangent for tangent in tangents if tangent is not None]
    count = len(known[0])
    matters = torch.stack([tangent.reshape(count, -1).any(1) for tangent in known]).any(0)
    indices = (matters if bool(matters.any()) else ~matters).nonzero().flatten()
    chosen = [tangent if tangent is None else tangent[indices] for tangent in tangents]
    return chosen, lambda found: found.new_zeros((count, *found.shape[1:])).index_copy(0, indices, found)


def advance_with_tangents(
    step: Step, inputs: RolloutInputs, start: Carry, tangents: Tangents, backend: str | None
) -> Advance:
    """Return a function that does substeps of a rollout with the derivatives along all directions.

    Args:
        step: the step.
        inputs: what it reads, plain tensors.
        start: the carry at the beginning, with its tangents.
        tangents: the derivatives of what it reads.
        backend: the compiler's, None for eager.
    """
    names, number, width = tuple(inputs.values), len(start.tensors()), 2 + len(start.state.history)
    function = substep_function(step, inputs, start)
    now = inputs.values_at(0)
    moved = {n for values in (inputs.values, *inputs.changes) for n, v in values.items() if tangents.has(v)}
    moved |= inputs.feedback.first.keys() if inputs.feedback else set()
    active = [index < width for index in range(number)] + [name in moved for name in names]
    repeat: Callable[..., tuple[Sequence[Tensor], Sequence[Tensor]]]
    repeat = partial(_repeat, partial(value_and_tangents, function, active, width))
    if step.explicit:
        example = [*start.tensors(), *(now[name] for name in names)]
        key = step_key(step, names)
        try:
            repeat = tangent_step(
                step, key, function, example, active, width=width, directions=tangents.count, backend=backend
            ).repeat
        except TracingError:  # what a user wrote may do more than can be traced, where nothing is compiled
            if backend is not None:
                raise

    def advance(carry: Carry, values: Values, substeps: int) -> tuple[Carry, Values]:
        shared = [values[name] for name in names]
        changes = [tangents.of(v) for v, is_active in zip(shared, active[number:], strict=True) if is_active]
        tensors, along = repeat(carry.tensors(), carry.tangents[:width], shared, changes, substeps)
        return carry.with_tensors(tensors)._replace(tangents=(*along, *carry.tangents[width:])), values

    return advance


def _repeat(
    substep: Callable[..., tuple[Sequence[Tensor], Sequence[Tensor]]],
    carry: Sequence[Tensor],
    tangents: Sequence[Tensor],
    values: Sequence[Tensor],
    changes: Sequence[Tensor],
    count: int,
) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Do what `TangentStep.repeat` does by a function that is not traced."""

    def step(
        now: tuple[Sequence[Tensor], Sequence[Tensor]],
    ) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        return substep([*now[0], *values], [*now[1], *changes])

    return repeated(step, (carry, tangents), count)


def value_and_tangents(
    function: Function,
    active: Sequence[bool],
    width: int,
    tensors: Sequence[Tensor],
    tangents: Sequence[Tensor],
) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Return the results of a function, and of the first of them the derivatives along P directions.

    Args:
        function: maps tensors to tensors.
        active: which of its arguments depend on the directions.
        width: how many results do.
        tensors: the arguments.
        tangents: the derivatives of the active arguments, `(P, ...)` each.
    """
    places = [index for index, is_active in enumerate(active) if is_active]

    def of_active(*given: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        arguments = list(tensors)
        for index, tensor in zip(places, given, strict=True):
            arguments[index] = tensor
        results = tuple(function(*arguments))
        return results[:width], results[width:]

    def along(*directions: Tensor) -> Any:
        own = tuple(tensors[index] for index in places)
        return torch.func.jvp(of_active, own, directions, has_aux=True)

    axes: Any = (None, 0, None)
    moving, changes, fixed = torch.func.vmap(along, out_dims=axes)(*tangents)
    return (*moving, *fixed), changes
