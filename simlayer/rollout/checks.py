"""Checks before and after a rollout, and the errors of one that failed."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from simlayer.errors import DivergenceError, SimulationError, first_index, listed
from simlayer.rollout.closed_loop import decide_function
from simlayer.rollout.contact_checks import PenetrationSearch, check_contacts
from simlayer.rollout.inputs import RolloutInputs
from simlayer.rollout.layout import on_state, unpack
from simlayer.rollout.unroll import Carry, Values, advance_function
from simlayer.rollout.value_checks import controlled_values
from simlayer.state import State
from simlayer.steps.base import Step
from simlayer.steps.stability import check_stable, in_substeps


@torch.no_grad()
def check_time_step(step: Step, inputs: RolloutInputs) -> None:
    """Raise UnstableStepError if dt is beyond what is stable for the quantities of this call.

    The rest shape's stiffness is bounded by a few operations per cell; only where that bound is exceeded are
    the elements' eigenvalues at the initial state computed.
    """
    if not step.explicit:
        return
    if inputs.timed:
        doubtful = _short_of(step, inputs)
    else:
        with inputs.applied():
            doubtful = [] if bool((step.stable_dts() >= step.dt).all()) else [0]
    for index in doubtful:
        if not is_finite(inputs.state):
            raise _bad_start(inputs)
        with inputs.applied(inputs.values_at(index)):
            stable = _stable_dts(step, on_state(unpack, inputs.state)).expand(inputs.batch_shape)
        given = f"for the controls of step {index + 1}" if inputs.timed else "for the quantities of this call"
        check_stable(stable, dt=step.dt, substeps=step.substeps, given=given)


def _short_of(step: Step, inputs: RolloutInputs) -> list[int]:
    """Return the step whose controls make the bound of the stable dt least, if dt is beyond that bound."""
    least, found = step.dt, []
    for first, values in controlled_values(inputs):
        with inputs.named.substituted(inputs.unpacked(inputs.values) | values):
            stable = step.stable_dts()
        if stable.ndim <= len(inputs.batch_shape):  # no control matters
            stable = stable[None]
        worst = stable.flatten(1).amin(1) if stable.ndim > 1 else stable
        if float(worst.min()) < least:
            least, found = float(worst.min()), [first + int(worst.argmin())]
        if stable.shape[0] == 1:
            break
    return found


def is_finite(state: State) -> bool:
    """Return whether positions and velocities are finite; waits for the device."""
    return bool(state.positions.isfinite().all() & state.velocities.isfinite().all())


def check_end(step: Step, num_steps: int, inputs: RolloutInputs, end: Carry) -> None:
    """Raise what went wrong on the way to this end, or warn of contacts that were hardly resolved."""
    if not is_finite(end.state) or not check_contacts(step, inputs, end.state, end.record):
        raise failure(step, num_steps, inputs)
    if inputs.feedback:
        inputs.feedback.check()


@torch.no_grad()
def failure(step: Step, num_steps: int, inputs: RolloutInputs) -> SimulationError:
    """Run again, eagerly and without gradients, to the first state that is wrong, and describe it."""
    state, feedback = inputs.state, inputs.feedback
    if feedback:  # without what it has noted after that state
        feedback = feedback.with_tensors(feedback.tensors())
        inputs = replace(inputs, feedback=feedback)
    carry = Carry(inputs.state, memory=feedback.memory if feedback else ())
    advance, decide = advance_function(step, inputs, carry, None), decide_function(inputs)
    search = PenetrationSearch(step, inputs)
    if not is_finite(state):
        return _bad_start(inputs)
    values: Values = inputs.values_at(0)
    for index in range(num_steps):
        values = {**values, **inputs.changes[index]} if inputs.changes else values
        if decide and feedback:
            carry, values = decide(index, carry._replace(state=state), values)
            feedback.check(index)
        for _ in range(step.substeps):
            if error := search.error_after(index, state):
                return error
            before, state = state, advance(Carry(state), values, 1)[0].state
            if not is_finite(state):
                return _divergence(step, inputs, index, values, before, state)
    return search.error_after(num_steps, state) or DivergenceError(
        "the compiled rollout failed, the eager one does not; run with compile=False and report this."
    )


def _bad_start(inputs: RolloutInputs) -> DivergenceError:
    where, sample, vertices = _where(inputs.state, inputs)
    return DivergenceError(f"the initial state is not finite: {where}.", sample=sample, vertices=vertices)


def _divergence(
    step: Step, inputs: RolloutInputs, index: int, values: Values, before: State, after: State
) -> DivergenceError:
    """Return the error of a step that leads from a finite state to one that is not."""
    with inputs.applied(values):
        state = on_state(unpack, before)
        wrong = [name for name, force in step.forces.items() if not bool(force(state).isfinite().all())]
        stable = float(_stable_dts(step, state).min())
    cause = (
        f"not finite: force {', '.join(map(repr, wrong))}"
        if wrong
        else "all forces are still finite before it"
    )
    where, sample, vertices = _where(after, inputs)
    return DivergenceError(
        f"the state is no longer finite after step {index + 1} (t = {(index + 1) * step.dt:g} s), "
        f"{where}; {cause}. The stable time step there was {stable:.3g} s, "
        f"dt is {step.dt:g} s{in_substeps(step.substeps)}. "
        "Try a smaller dt, more substeps, damping, or softer and slower input.",
        step=index + 1,
        sample=sample,
        vertices=vertices,
        forces=tuple(wrong),
        stable_dt=stable,
    )


@torch.no_grad()
def unlikely_state(step: Step, inputs: RolloutInputs) -> str:
    """Return in words what is unlikely in the first state of a rollout that failed; empty if nothing is."""
    with inputs.applied():
        stretch, growth = (
            float(torch.stack([*step.elements.deformation_gradient(unpack(vectors))]).abs().max())
            for vectors in inputs.state[:2]
        )
    found = []
    if stretch < 0.1 or stretch > 10:
        found.append(f"positions stretch cells to {stretch:.2g} times their rest shape")
    if step.dt * growth > 1:
        found.append(f"velocities stretch cells to {step.dt * growth:.2g} times that in one dt")
    if not found:
        return ""
    return f" It started from a state whose {' and '.join(found)}: are they in m and m/s?"


def _stable_dts(step: Step, state: State) -> Tensor:
    """Return the stable dts at this state, or at rest where there are no eigenvalues in this precision."""
    try:
        return step.stable_dts(state)
    except torch.linalg.LinAlgError:
        return step.stable_dts()


def _where(state: State, inputs: RolloutInputs) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """Return the first sample that is not finite and its vertices that are not, in words before."""
    wrong = ~(state.positions.isfinite() & state.velocities.isfinite()).all(0)
    sample = first_index(wrong.any(0)) if inputs.batch_shape else ()
    vertices = tuple(wrong.movedim(0, -1)[sample].nonzero().flatten().tolist())
    return f"{f'sample {sample}, ' if sample else ''}vertices {listed(vertices)}", sample, vertices
