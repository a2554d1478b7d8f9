"""The checks before and after a rollout, and the diagnosis of one that failed."""

from __future__ import annotations

import torch
from torch import Tensor

from simlayer.errors import (
    DivergenceError,
    SimulationError,
    UnstableStepError,
    first_index,
    in_substeps,
    listed,
)
from simlayer.rollout.contact_checks import (
    contacts_resolved,
    penetration,
    pressed_stiffness,
    warn_of_rough_contacts,
)
from simlayer.rollout.inputs import RolloutInputs
from simlayer.rollout.layout import on_state, unpack
from simlayer.rollout.unroll import Carry, advance_function
from simlayer.state import State
from simlayer.steps.base import Step


def check_time_step(step: Step, inputs: RolloutInputs) -> None:
    """Raise UnstableStepError if dt is beyond what is stable for the quantities of this call."""
    _check_stable(step, inputs, inputs.state, cause="for the quantities of this call")


@torch.no_grad()
def _check_stable(
    step: Step,
    inputs: RolloutInputs,
    state: State,
    *,
    cause: str,
    remedy: str = "",
    contact: Tensor | None = None,
) -> None:
    """Raise UnstableStepError if dt is beyond what is stable at a packed state.

    The stiffness of the rest shape is bounded by a few operations per cell. The eigenvalues of the elements
    at the state are computed only where that bound is exceeded.
    """
    with inputs.applied():
        if bool((step.stable_dts(contact=contact) >= step.dt).all()):
            return
        _check_finite(inputs, state)
        stable = step.stable_dts(on_state(unpack, state), contact=contact).expand(inputs.batch_shape)
    if bool((stable < step.dt).any()):
        raise UnstableStepError.beyond(stable, dt=step.dt, substeps=step.substeps, cause=cause, remedy=remedy)


def _check_finite(inputs: RolloutInputs, state: State) -> None:
    """Raise DivergenceError if a packed state, or ValueError if a quantity, is not finite."""
    if not is_finite(state):
        raise _not_finite(state, inputs, "the initial state is not finite: {where}.")
    for name in inputs.named.quantities:
        if not bool(inputs.values[name].isfinite().all()):
            raise ValueError(f"{name} is not finite, or its stored value is too large.")


def is_finite(state: State) -> bool:
    """Return whether positions and velocities are finite; waits for the device."""
    return bool(state.positions.isfinite().all() & state.velocities.isfinite().all())


def check_end(step: Step, num_steps: int, inputs: RolloutInputs, end: Carry) -> None:
    """Raise what went wrong on the way to this end, or warn of contacts that were hardly resolved."""
    if not is_finite(end.state) or not contacts_resolved(step, inputs, end.state, end.record):
        raise failure(step, num_steps, inputs)
    if end.record:
        _check_stable(
            step,
            inputs,
            end.state,
            cause="with the contacts pressed as far as they were",
            remedy=", or a contact that begins earlier",
            contact=pressed_stiffness(end.record),
        )
        warn_of_rough_contacts(step, inputs, end.record)


@torch.no_grad()
def failure(step: Step, num_steps: int, inputs: RolloutInputs) -> SimulationError:
    """Repeat a rollout eagerly, without gradients, to the first state that is wrong, and describe it."""
    state = inputs.state
    advance = advance_function(step, inputs, Carry(state), None)
    if not is_finite(state):
        return _not_finite(state, inputs, "the initial state is not finite: {where}.")
    for index in range(num_steps):
        for _ in range(step.substeps):
            if error := penetration(step, inputs, index, state):
                return error
            before, state = state, advance(Carry(state), inputs.values_at(index), 1)[0].state
            if not is_finite(state):
                return _divergence(step, inputs, index, before, state)
    return penetration(step, inputs, num_steps, state) or DivergenceError(
        "the compiled rollout failed, the eager one does not; run with compile=False and report this."
    )


def _divergence(
    step: Step, inputs: RolloutInputs, index: int, before: State, after: State
) -> DivergenceError:
    with inputs.applied(inputs.values_at(index)):
        state = on_state(unpack, before)
        wrong = [name for name, force in step.forces.items() if not bool(force(state).isfinite().all())]
        stable = _stable_dt(step, state)
    cause = (
        f"not finite: force {', '.join(map(repr, wrong))}"
        if wrong
        else "all forces are still finite before it"
    )
    return _not_finite(
        after,
        inputs,
        f"the state is no longer finite after step {index + 1} (t = {(index + 1) * step.dt:g} s), {{where}}; "
        f"{cause}. The stable time step there was {stable:.3g} s, dt is {step.dt:g} s"
        f"{in_substeps(step.substeps)}. Try a smaller dt, more substeps, damping, or softer and slower "
        "input.",
        step=index + 1,
    )


def _stable_dt(step: Step, state: State) -> float:
    """Return the stable time step at a state, or at rest where the state has no eigenvalues any more."""
    try:
        return float(step.stable_dts(state).min())
    except torch.linalg.LinAlgError:
        return float(step.stable_dts().min())


def _not_finite(state: State, inputs: RolloutInputs, message: str, *, step: int = 0) -> DivergenceError:
    """Return an error whose message says where: the first sample and its vertices that are not finite."""
    wrong = ~(state.positions.isfinite() & state.velocities.isfinite()).all(0)
    sample = first_index(wrong.any(0)) if inputs.batch_shape else ()
    vertices = tuple(wrong.movedim(0, -1)[sample].nonzero().flatten().tolist())
    where = f"{f'sample {sample}, ' if sample else ''}vertices {listed(vertices)}"
    return DivergenceError(message.format(where=where), step=step, sample=sample, vertices=vertices)
