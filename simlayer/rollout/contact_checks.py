"""Checks whether the contacts of a rollout were resolved, with a time step and a stiffness that would do."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.contact.base import Contact
from simlayer.contact.penetration import move_apart, penetration_error, what_touches
from simlayer.errors import ContactWarning, PenetrationError
from simlayer.rollout.contact_record import ROUGH, TOO_FAST, ContactMeasure, approach_in_step, measure
from simlayer.rollout.inputs import RolloutInputs
from simlayer.rollout.layout import on_state, unpack
from simlayer.state import State
from simlayer.steps.base import Step
from simlayer.steps.stability import check_stable, in_substeps

# How much stiffer a contact becomes at least that let a body in, and how far dt stays below the stable one.
_HARDER, _STEADY = 2.0, 0.5


def check_contacts(step: Step, inputs: RolloutInputs, end: State, record: tuple[Tensor, ...]) -> bool:
    """Return whether all contacts were resolved, by their record and the end; warn of doubtful ones.

    Raises:
        UnstableStepError: if dt is beyond what is stable with contacts pressed as far as they were.
    """
    if not record:
        return True
    worst = [ContactMeasure(*tensor.unbind()) for tensor in record]
    with torch.no_grad(), inputs.applied(inputs.last_values()):
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


class PenetrationSearch:
    """The search for the first contact of an explicit rollout that is not resolved, step by step.

    Args:
        step: the step.
        inputs: what the rollout was given.
    """

    def __init__(self, step: Step, inputs: RolloutInputs) -> None:
        self.step, self.inputs = step, inputs
        # How much nearer a vertex came in one step so far, over the activation distance.
        self.fastest = dict.fromkeys(step.contacts(), 0.0)

    def error_after(self, after: int, state: State) -> PenetrationError | None:
        """Return the error of the first contact that is not resolved after so many steps, if there is one."""
        # After the last step, obstacles are where its controls put them.
        with self.inputs.applied(self.inputs.values_at(min(after, len(self.inputs.changes) - 1))):
            body = on_state(unpack, state)
            for name, contact in self.step.contacts().items():
                gaps, moves = approach_in_step(self.step, contact, body)
                self.fastest[name] = max(self.fastest[name], float(moves.max()))
                wrong = (gaps <= 0) | (moves > TOO_FAST)
                if bool(wrong.any()):
                    return self._error(name, contact, _Found(after, body, wrong, gaps, moves))
        return None

    def _error(self, name: str, contact: Contact, found: _Found) -> PenetrationError:
        step, after, wrong = self.step, found.after, found.wrong
        move, distances = float(found.moves[wrong].max()), found.gaps * contact.activation_distance
        distance, dt, stiffness = float(distances[wrong].min()), None, None
        what = (
            "is too fast for its steps to stop before an obstacle" if distance > 0 else what_touches(distance)
        )
        if distance <= 0 and not after:
            remedy = move_apart(distance, contact.activation_distance)
        else:
            speed = self.fastest[name] * contact.activation_distance * step.substeps / step.dt
            dt, stiffness = _advice(step, contact, speed, found)
            remedy = _remedy(step, contact, dt, stiffness)
        when = f"after step {after} (t = {after * step.dt:g} s)" if after else "at the start"
        return penetration_error(
            name,
            f"{what} {when}",
            remedy,
            wrong=wrong,
            distances=distances,
            numbers=f", v dt/activation_distance = {move:.3g}{in_substeps(step.substeps)}",
            after=after,
            approach=move,
            dt=dt,
            stiffness=stiffness,
        )


class _Found(NamedTuple):
    """The body after so many steps, which vertices are wrong, all gaps and approaches over d̂."""

    after: int
    body: State
    wrong: Tensor
    gaps: Tensor
    moves: Tensor


def _remedy(step: Step, contact: Contact, dt: float, stiffness: float) -> str:
    """Return what to change, in words: only what differs from the values in use."""
    parts = [f"dt <= {dt:.2g}{in_substeps(step.substeps)}"] if dt < step.dt else []
    if stiffness > float(contact.stiffness.max()):
        parts.append(f"a stiffness >= {stiffness:.2g} Pa")
    return f"Use {' and '.join(parts)}."


class Advice(NamedTuple):
    """A time step [s] and a stiffness [Pa] that would do for a contact at some speed."""

    dt: float
    stiffness: float


def _advice(step: Step, contact: Contact, speed: float, found: _Found) -> Advice:
    """Return what would do for vertices that come nearer with a speed [m/s]; no softer than now."""
    now = float(contact.stiffness.max())
    # As if half of the surface had to stop the whole body, and each vertex itself, against what pushes it.
    body_energy = float(step.vertex_masses.sum(-1).max() / contact.areas.sum(-1).min()) * speed**2
    work = contact.activation_distance * _push(step, found.body)
    vertex_energies = (0.5 * step.vertex_masses * speed**2 + work) / contact.areas
    energy = max(body_energy, float(vertex_energies.expand_as(found.wrong)[found.wrong].max()))
    inside = bool((found.gaps[found.wrong] <= 0).any())
    needed = max(_HARDER * now if inside else 0.0, contact.stiffness_to_stop(energy))
    stiffness = _rounded(needed, up=True) if needed > now else now
    stable = float(step.stable_dts(contact=step.contact_squares() * (stiffness / now)).min())
    resolved = step.substeps * ROUGH * contact.activation_distance / speed if speed > 0 else torch.inf
    # A contact that is pressed farther than it is meant to be is stiffer than that.
    dt = min(_STEADY * stable, 0.9 * resolved)
    return Advice(min(step.dt, _rounded(dt, up=False)), stiffness)


def _push(step: Step, body: State) -> Float[Tensor, "*batch N"]:
    """Return how strongly vertices are pushed by all that is no contact [N]."""
    contacts = step.contacts().values()
    forces = [force(body) for force in step.forces.values() if force not in contacts]
    weight = step.vertex_masses[..., None] * step.gravity_field
    return sum(forces, weight).square().sum(-1).sqrt()


def _rounded(value: float, *, up: bool) -> float:
    """Return a positive number rounded to two digits, up or down, as a message shows it."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{(math.ceil if up else math.floor)(value / unit) * unit:.1e}")
