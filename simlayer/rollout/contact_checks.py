"""Verdicts on the contacts of a rollout: errors, warnings, and advice."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.contact.base import Contact
from simlayer.errors import ContactWarning, PenetrationError, first_index, in_substeps, listed
from simlayer.rollout.contact_record import ROUGH, TOO_FAST, approach_in_step, measure, measures
from simlayer.rollout.inputs import RolloutInputs
from simlayer.rollout.layout import on_state, unpack
from simlayer.state import State
from simlayer.steps.base import Step


def contacts_resolved(step: Step, inputs: RolloutInputs, end: State, record: tuple[Tensor, ...]) -> bool:
    """Return whether no vertex was inside an obstacle or too fast, by the record and at the end."""
    if not record:
        return True
    with torch.no_grad(), inputs.applied(inputs.values_at(len(inputs.changes) - 1)):
        last = [measure(step, contact, on_state(unpack, end)) for contact in step.contacts().values()]
    inside = any(bool((part.depth >= 0).any()) for part in (*measures(record), *last))
    return not inside and _fastest(record) <= TOO_FAST


def pressed_stiffness(record: tuple[Tensor, ...]) -> Float[Tensor, "*batch"]:
    """Return the largest stiffness over mass that contacts had in each sample [1/s²]."""
    return torch.stack([part.stiffness for part in measures(record)]).sum(0)


def warn_of_rough_contacts(step: Step, inputs: RolloutInputs, record: tuple[Tensor, ...]) -> None:
    """Warn if the contacts were resolved well enough for the motion, but not for its gradients."""
    fastest = _fastest(record)
    if fastest > ROUGH and inputs.needs_gradient():
        warnings.warn(
            f"a vertex came nearer to an obstacle by {fastest:.2g} activation distances in one step: "
            "gradients through the contact may be wrong by some per cent. Use dt <= "
            f"{0.9 * ROUGH / fastest * step.dt:.2g}{in_substeps(step.substeps)}.",
            ContactWarning,
            stacklevel=7,  # of a call of the rollout
        )


def _fastest(record: tuple[Tensor, ...]) -> float:
    return max(float(part.approach.max()) for part in measures(record))


def penetration(step: Step, inputs: RolloutInputs, after: int, state: State) -> PenetrationError | None:
    """What is wrong with the contacts after so many steps, if anything is: the first of them."""
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
    """Return what would do for vertices that come nearer with a speed [m/s]; no less stiff than it is now."""
    # As if half of the surface had to stop the whole body.
    energy = float(step.vertex_masses.sum(-1).max() / contact.areas.sum()) * speed**2
    now = float(contact.stiffness.max())
    stiffness = max(now, 1.05 * contact.stiffness_to_stop(energy))
    stable = float(step.stable_dts(contact=step.contact_squares() * (stiffness / now)).min())
    resolved = step.substeps * ROUGH * contact.activation_distance / speed if speed > 0 else torch.inf
    return Advice(min(step.dt, 0.9 * stable, 0.9 * resolved), stiffness)
