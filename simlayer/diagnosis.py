"""What is checked around a rollout, and what is said when it fails."""

from __future__ import annotations

import torch
from torch import Tensor

from simlayer.binding import quantities_by_name
from simlayer.call import Call
from simlayer.errors import DivergenceError, UnstableStepError
from simlayer.packing import on_state, unpack
from simlayer.state import State
from simlayer.steps.base import Step
from simlayer.unroll import advance_function

_LISTED = 5


@torch.no_grad()
def check_time_step(step: Step, call: Call) -> None:
    """Raise UnstableStepError if dt is beyond what is stable for the quantities of this call.

    The rest shape's stiffness is bounded by a few operations a cell; only where that bound is exceeded are
    the elements' eigenvalues at the initial state computed.
    """
    with call.reading(call.values_at(0)):
        if bool((step.stable_dts() >= step.dt).all()):
            return
        _check_finite(step, call)
        state = on_state(unpack, call.state)
        stable = step.stable_dts(state).expand(call.batch_shape)
    if bool((stable >= step.dt).all()):
        return
    where = f" of sample {_first(stable < step.dt)}" if call.batch_shape else ""
    limit = float(stable.min())
    raise UnstableStepError(
        f"dt = {step.dt:g} s{_substeps(step)} is beyond the stable time step{where}, {limit:.3g} s for the "
        f"quantities of this call; use dt <= {0.9 * limit:.2g}, or substeps >= {_needed(step, limit)}."
    )


def _check_finite(step: Step, call: Call) -> None:
    """Raise DivergenceError if the initial state, or ValueError if a quantity, is not finite."""
    if not is_finite(call.state):
        raise DivergenceError(f"the initial state is not finite: {_where(call.state, call)}.")
    for name, (_, quantity) in quantities_by_name(step).items():
        value = call.values[name.removesuffix(quantity.stored_name) + quantity.name]
        if not bool(value.isfinite().all()):
            raise ValueError(f"{name} is not finite, or too large for its {quantity.name} to be.")


def is_finite(state: State) -> bool:
    """Whether positions and velocities are finite; waits for the device."""
    return bool(state.positions.isfinite().all() & state.velocities.isfinite().all())


@torch.no_grad()
def divergence(step: Step, num_steps: int, call: Call) -> DivergenceError:
    """Run again, eagerly and without gradients, to the first state that is not finite, and describe it."""
    advance = advance_function(step, call, None)
    state = call.state
    if not is_finite(state):
        return DivergenceError(f"the initial state is not finite: {_where(state, call)}.")
    for index in range(num_steps):
        for _ in range(step.substeps):
            before, state = state, advance(state, call.values_at(index))
            if not is_finite(state):
                return DivergenceError(_describe(step, call, index, before, state))
    return DivergenceError(
        "the compiled rollout ended in a state that is not finite, the eager one does not; run with "
        "compile=False and report this."
    )


def _describe(step: Step, call: Call, index: int, before: State, after: State) -> str:
    with call.reading(call.values_at(index)):
        state = on_state(unpack, before)
        wrong = [name for name, force in step.forces.items() if not bool(force(state).isfinite().all())]
        stable = _stable_dt(step, state)
    cause = (
        f"not finite: force {', '.join(map(repr, wrong))}"
        if wrong
        else "all forces are still finite before it"
    )
    return (
        f"the state is no longer finite after step {index + 1} (t = {(index + 1) * step.dt:g} s), "
        f"{_where(after, call)}; {cause}. The stable time step there was {stable:.3g} s, dt is {step.dt:g} s"
        f"{_substeps(step)}. Try a smaller dt, more substeps, damping, or softer and slower input."
    )


def _stable_dt(step: Step, state: State) -> float:
    """At this state, or at rest where the state is too far gone for eigenvalues."""
    try:
        return float(step.stable_dts(state).min())
    except torch.linalg.LinAlgError:
        return float(step.stable_dts().min())


def _where(state: State, call: Call) -> str:
    """The first sample and its first vertices that are not finite."""
    wrong = ~(state.positions.isfinite() & state.velocities.isfinite()).all(0)
    sample = ""
    if call.batch_shape:
        index = _first(wrong.any(0))
        sample = f"sample {index}, "
        wrong = wrong.movedim(0, -1)[index]
    vertices = wrong.nonzero().flatten().tolist()
    more = f" and {len(vertices) - _LISTED} more" if len(vertices) > _LISTED else ""
    return f"{sample}vertices {vertices[:_LISTED]}{more}"


def _first(mask: Tensor) -> tuple[int, ...]:
    return tuple(mask.nonzero()[0].tolist())


def _substeps(step: Step) -> str:
    return f" in {step.substeps} substeps" if step.substeps > 1 else ""


def _needed(step: Step, limit: float) -> int:
    return int(step.substeps * step.dt / (0.9 * limit)) + 1
