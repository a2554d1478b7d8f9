"""Checks that an implicit step begins outside of all obstacles, and that its way leads through none."""

from __future__ import annotations

import warnings

from torch import Tensor

from simlayer.contact.base import Contact
from simlayer.contact.continuous_collision import Passage
from simlayer.contact.penetration import move_apart, penetration_error, what_touches
from simlayer.errors import ContactWarning, PenetrationError
from simlayer.state import State
from simlayer.steps.base import Step
from simlayer.steps.stability import in_substeps

# How much nearer an obstacle or fixed vertices may come in one step, over the activation distance: what a
# pressed contact leaves between them.
_NEARER = 0.1


def check_start(step: Step, positions: Tensor) -> None:
    """Raise PenetrationError if a contact is penetrated where the search of an implicit step begins."""
    for name, contact in step.contacts().items():
        distances = contact.distances(positions)
        wrong = distances <= 0
        if bool(wrong.any()):
            raise _inside(step, name, contact, positions, distances, wrong)


def _inside(
    step: Step, name: str, contact: Contact, positions: Tensor, distances: Tensor, wrong: Tensor
) -> PenetrationError:
    # Fixed vertices have already moved, and the obstacle is where it will be.
    speeds = contact.approach(State(positions, step.fixed_velocities.expand_as(positions))).abs()
    came = step.dt * float(speeds[wrong].max())
    depth = -float(distances[wrong].min())
    moved = came > max(depth, 0.0) and came > _NEARER * contact.activation_distance
    limit = _NEARER * contact.activation_distance
    dt = step.dt * limit / came if moved else None
    remedy = (
        f"The obstacle or fixed vertices come nearer by {came:.3g} m in one step, and may by {limit:.2g} m, "
        "a tenth of the activation distance: for the same motion, use "
        f"dt <= {dt:.2g}{in_substeps(step.substeps)}."
        if dt
        else move_apart(-depth, contact.activation_distance)
    )
    what = f"{what_touches(-depth)} before its step begins"
    return penetration_error(name, what, remedy, wrong=wrong, distances=distances, dt=dt)


def check_way(step: Step, start: Tensor, end: Tensor, *, is_motion: bool) -> None:
    """Raise PenetrationError if a vertex goes through an obstacle on its straight way from start to end.

    Each iterate of a search goes along a free way, but together they may lead around what is thinner than a
    step is long. Where the way is no motion, from a guess to an equilibrium, this is a ContactWarning.
    """
    for name, contact in step.contacts().items():
        found = contact.passage(start, end)
        if found is None:
            continue
        if is_motion:
            raise passage_error(step, name, contact, found, end, "")
        warnings.warn(
            f"contact {name!r}: the straight way from the state that was given to its equilibrium leads "
            f"up to {float(found.depth.max()):.3g} m deep through an obstacle: it may be on the wrong "
            "side of it. Begin nearer to it, or apply the loads in several steps.",
            ContactWarning,
            stacklevel=2,
        )


def passage_error(
    step: Step, name: str, contact: Contact, found: Passage, end: Tensor, mover: str
) -> PenetrationError:
    """Return the error of vertices that go through an obstacle within a step, with a dt that resolves it.

    Args:
        step: the step.
        name: the name of the contact.
        contact: the contact.
        found: what goes through.
        end: positions at the end of the way [m].
        mover: what moves, for the message, if it is not the body.
    """
    dt = float(f"{0.5 * step.dt * float(found.share[found.wrong].min()):.1e}")
    depth = float(found.depth[found.wrong].max())
    return penetration_error(
        name,
        f"passes through an obstacle within one step{mover}",
        f"Use dt <= {dt:.2g}{in_substeps(step.substeps)}.",
        wrong=found.wrong,
        distances=contact.distances(end),
        numbers=f" at its end, {depth:.3g} m deep on the straight way to it",
        dt=dt,
    )
