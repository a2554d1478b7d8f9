"""A record of the contacts of an explicit rollout: updated at every step, read once at the end."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.contact.base import Contact
from simlayer.rollout.inputs import RolloutInputs
from simlayer.state import State
from simlayer.steps.base import Step

# How much nearer a vertex may come in one step, over the activation distance. Above the first the gradient of
# a bounce is wrong by some per cent; above the second it has nothing to do with the motion any more.
ROUGH, TOO_FAST = 0.1, 0.3


class ContactMeasure(NamedTuple):
    """The worst of all vertices of a contact, in each sample.

    Attributes:
        depth: minus the smallest distance over the activation distance; positive inside.
        approach: how much nearer a vertex comes in one step that takes it to where the contact acts,
            over the activation distance.
        stiffness: that it gives to a vertex, over its mass [1/s²].
    """

    depth: Float[Tensor, "*batch"]
    approach: Float[Tensor, "*batch"]
    stiffness: Float[Tensor, "*batch"]


def empty_record(step: Step, inputs: RolloutInputs) -> tuple[Tensor, ...]:
    """Return the record before the first step: one tensor per contact.

    Contacts of implicit steps, which let nothing through, are not recorded.
    """
    count = len(step.contacts()) if step.explicit else 0
    start = inputs.state.positions.new_full((len(ContactMeasure._fields), *inputs.batch_shape), -torch.inf)
    return (start,) * count


def record_contacts(step: Step, state: State, before: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the record with the contacts at the start of a substep: the larger of each number."""
    if not before:
        return ()
    with torch.no_grad():
        now = [measure(step, contact, state) for contact in step.contacts().values()]
        return tuple(torch.maximum(b, torch.stack(n)) for b, n in zip(before, now, strict=True))


def measure(step: Step, contact: Contact, state: State) -> ContactMeasure:
    """Return the measures of a contact at a state."""
    gaps, moves = approach_in_step(step, contact, state)
    stiffness = contact.vertex_stiffness(state) * step.mobility
    return ContactMeasure(-gaps.amin(-1), moves.amax(-1), stiffness.amax(-1))


def approach_in_step(
    step: Step, contact: Contact, state: State
) -> tuple[Float[Tensor, "*batch N"], Float[Tensor, "*batch N"]]:
    """Return the gap of each vertex, and how much nearer it comes in one substep; both over d̂.

    Zero for a vertex that stays outside of the activation distance d̂. One that would fly past or through
    something thin goes by its own distance like any other.
    """
    scale = contact.activation_distance
    gaps = contact.distances(state.positions) / scale
    moves = contact.approach(state) * (step.dt / step.substeps / scale)
    return gaps, torch.where(gaps - moves < 1, moves, 0.0)
