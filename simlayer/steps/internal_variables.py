"""The internal variables of the forces of a step, which end the history of its states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from simlayer.forces.internal_variables import HistoryDependent
from simlayer.state import State

_NAMES = ("internal_variables", "elapsed")


def history_dependent(step: Any) -> dict[str, HistoryDependent]:
    """Return the forces of a step that have internal variables, by name."""
    return {name: force for name, force in step.forces.items() if isinstance(force, HistoryDependent)}


def split_history(step: Any, state: State) -> tuple[State, tuple[Tensor, ...]]:
    """Return the state with the step's own history, and the internal variables of its forces.

    There are none, (), in a state that no step with such forces has ended in.
    """
    forces = history_dependent(step)
    count, sizes = len(forces), [force.internal_variables.shape[-2] for force in forces.values()]
    ends = state.history[-count:] if count else ()
    found = len(ends) == count > 0 and [tensor.shape[-2] for tensor in ends] == sizes
    ambiguous = len(state.history) == step.history_size and set(sizes) == {step.num_vertices}
    if not found or ambiguous:
        return state, ()
    return state._replace(history=state.history[:-count]), ends


@contextmanager
def remembering(step: Any, state: State, elapsed: float = 0.0) -> Iterator[State]:
    """Let the forces of a step have the internal variables of a state for the time of a `with` block.

    Yields the state with the step's own history. Where the state has none, forces keep those that they have.

    Args:
        step: whose forces.
        state: at the start of a step.
        elapsed: how long after it the forces are evaluated [s].
    """
    places: list[dict[str, Any]] = [step.forces[name]._buffers for name in history_dependent(step)]
    if not places:
        yield state
        return
    own, variables = split_history(step, state)
    before = [{name: place[name] for name in _NAMES} for place in places]
    for place, values in zip(places, variables or [None] * len(places), strict=True):
        place["elapsed"] = place["elapsed"].new_full((), elapsed)
        if values is not None:
            place["internal_variables"] = values
    try:
        yield own
    finally:
        for place, present in zip(places, before, strict=True):
            place.update(present)


def remembered_values(step: Any) -> dict[str, Tensor]:
    """Return what `remembering` has put in place, by full names."""
    return {
        f"forces.{name}.{part}": getattr(force, part)
        for name, force in history_dependent(step).items()
        for part in _NAMES
    }


def begun(step: Any, state: State) -> State:
    """Return the state with the history that a step needs, its own and that of its forces."""
    forces = history_dependent(step)
    if not forces:
        return step.start(state)
    with remembering(step, state) as own:
        start = step.start(own)
        variables = [_expanded(force.internal_variables, state) for force in forces.values()]
    return start._replace(history=(*start.history, *variables))


def advanced(step: Any, state: State) -> State:
    """Return the state a substep later, with the internal variables of its forces."""
    forces = history_dependent(step)
    if not forces:
        return step.substep(state)
    with remembering(step, state, 0.0 if step.explicit else step.h) as own:
        end = step.substep(own)
        variables = [force.updated(end.positions, step.h) for force in forces.values()]
    return end._replace(history=(*end.history, *variables))


def check_number_of_tensors(step: Any, history: Sequence[Tensor]) -> None:
    """Raise ValueError unless a history is one of states of this step, by the number of its tensors."""
    size, count = step.history_size, len(history_dependent(step))
    if size is not None and len(history) not in (0, size, size + count, count):
        raise ValueError(
            f"the state has a history of {len(history)} tensors from another kind of step, "
            f"{type(step).__name__} keeps {size + count}; start without it: State(state.positions, "
            "state.velocities)."
        )


def _expanded(variables: Tensor, state: State) -> Tensor:
    return variables.expand(*state.positions.shape[:-2], *variables.shape[-2:])
