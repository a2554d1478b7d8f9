"""Checks whether the contacts of a rollout were resolved, with a time step and a stiffness that would do."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from simlayer.contact.base import Contact
from simlayer.errors import ContactWarning, PenetrationError, first_index, listed
from simlayer.rollout.contact_record import ROUGH, TOO_FAST, ContactMeasure, approach_in_step, measure
from simlayer.rollout.inputs import RolloutInputs
from simlayer.rollout.layout import on_state, unpack
from simlayer.state import State
from simlayer.steps.base import Step
from simlayer.steps.stability import check_stable, in_substeps


def check_contacts(step: Step, inputs: RolloutInputs, end: State, record: tuple[Tensor, ...]) -> bool:
    """Return whether all contacts were resolved, by their record and the end; warn of doubtful ones.

    Raises:
        UnstableStepError: if dt is beyond what is stable with contacts pressed as far as they were.
    """
    if not record:
        return True
    worst = [ContactMeasure(*tensor.unbind()) for tensor in record]
    with torch.no_grad(), inputs.applied(inputs.values_at(len(inputs.changes) - 1)):
        last = [measure(step, contact, on_state(unpack, end)) for contact in step.contacts().values()]
    fastest = max(float(part.approach.max()) for part in worst)
    if any(bool((part.depth >= 0).any()) for part in (*worst, *last)) or fastest > TOO_FAST:
        return False
    _check_pressed(step, inputs, end, torch.stack([part.stiffness for part in worst]).sum(0))
    if fastest > ROUGH and inputs.needs_gradient():
        warnings.warn(
            f"a vertex came nearer to an obstacle by {fastest:.2g} activation distances in one step: "
            "gradients through the contact may be wrong by some per cent. Use dt <= "
            f"{0.9 * ROUGH / fastest * step.dt:.2g}{in_substeps(step.substeps)}.",
            ContactWarning,
            stacklevel=7,  # of a call of the rollout
        )
    return True


@torch.no_grad()
def _check_pressed(step: Step, inputs: RolloutInputs, end: State, contact: Tensor) -> None:
    """Raise UnstableStepError if dt was beyond what is stable with contacts pressed as they were."""
    with inputs.applied():
        if bool((step.stable_dts(contact=contact) >= step.dt).all()):
            return
        stable = step.stable_dts(on_state(unpack, end), contact=contact)
    given, remedy = "with the contacts pressed as far as they were", ", or a contact that begins earlier"
    check_stable(stable, dt=step.dt, substeps=step.substeps, given=given, remedy=remedy)


def penetration(step: Step, inputs: RolloutInputs, after: int, state: State) -> PenetrationError | None:
    """Return the error of the first contact that is not resolved after so many steps, if there is one."""
    # After the last step, obstacles are where its controls put them.
    with inputs.applied(inputs.values_at(min(after, len(inputs.changes) - 1))):
        body = on_state(unpack, state)
        for name, contact in step.contacts().items():
            gaps, moves = approach_in_step(step, contact, body)
            wrong = (gaps <= 0) | (moves > TOO_FAST)
            if bool(wrong.any()):
                sample = first_index(wrong.any(-1)) if wrong.ndim > 1 else ()
                found = _Found(after, sample, wrong[sample], gaps[sample], moves[sample])
                return _error(step, name, contact, found)
    return None


class _Found(NamedTuple):
    """The vertices of a sample that are wrong, after how many steps, and all gaps and approaches, `(N,)`."""

    after: int
    sample: tuple[int, ...]
    wrong: Tensor
    gaps: Tensor
    moves: Tensor


def _error(step: Step, name: str, contact: Contact, found: _Found) -> PenetrationError:
    move, distance = float(found.moves[found.wrong].max()), float(found.gaps[found.wrong].min())
    distance *= contact.activation_distance
    dt, stiffness = advice(step, contact, move * contact.activation_distance * step.substeps / step.dt)
    when = f"after step {found.after} (t = {found.after * step.dt:g} s)" if found.after else "at the start"
    sample = f"sample {found.sample}, " if found.sample else ""
    what = "inside an obstacle" if distance <= 0 else "too fast for its steps to stop before an obstacle"
    vertices = tuple(found.wrong.nonzero().flatten().tolist())
    return PenetrationError(
        f"contact {name!r}: the body is {what} {when}; {sample}vertices {listed(vertices)}, distance "
        f"{distance:.3g} m, v dt/activation_distance = {move:.3g}{in_substeps(step.substeps)}. Use "
        f"dt <= {dt:.2g} and a stiffness >= {stiffness:.2g} Pa, or a larger activation distance.",
        step=found.after,
        sample=found.sample,
        vertices=vertices,
        distance=distance,
        approach=move,
        suggested_dt=dt,
        suggested_stiffness=stiffness,
    )


class Advice(NamedTuple):
    """A time step [s] and a stiffness [Pa] that would do for a contact at some speed."""

    dt: float
    stiffness: float


def advice(step: Step, contact: Contact, speed: float) -> Advice:
    """Return what would do for vertices that come nearer with a speed [m/s]; no softer than now."""
    # As if half of the surface had to stop the whole body.
    energy = float(step.vertex_masses.sum(-1).max() / contact.areas.sum()) * speed**2
    now = float(contact.stiffness.max())
    stiffness = max(now, 1.05 * contact.stiffness_to_stop(energy))
    stable = float(step.stable_dts(contact=step.contact_squares() * (stiffness / now)).min())
    resolved = step.substeps * ROUGH * contact.activation_distance / speed if speed > 0 else torch.inf
    return Advice(min(step.dt, 0.9 * stable, 0.9 * resolved), stiffness)
