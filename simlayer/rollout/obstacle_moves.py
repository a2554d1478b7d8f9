"""The check that obstacles which controls move go through no vertices between two implicit steps."""

from __future__ import annotations

import torch
from torch import Tensor

from simlayer.contact.barrier_contact import BarrierContact
from simlayer.rollout.inputs import RolloutInputs
from simlayer.rollout.layout import on_state, unpack
from simlayer.state import State
from simlayer.steps.base import Step
from simlayer.steps.contact_checks import passage_error


@torch.no_grad()
def check_obstacle_moves(step: Step, inputs: RolloutInputs, index: int, state: State) -> None:
    """Raise PenetrationError if an obstacle goes through vertices as controls move it to its place in a step.

    Implicit steps see it in that place only. Explicit steps read its velocity, see `approach_in_step`.

    Args:
        step: the step.
        inputs: what the rollout was given.
        index: of the step, from 0.
        state: before it, packed.
    """
    if step.explicit or not inputs.changes:
        return
    for name, contact in step.contacts().items():
        places = (f"forces.{name}.obstacle.{quantity}" for quantity in ("translation", "rotation"))
        if not isinstance(contact, BarrierContact) or inputs.changes[0].keys().isdisjoint(places):
            continue
        positions = on_state(unpack, state).positions
        before = _from_its_last_place(step, inputs, index, contact, positions)
        with inputs.applied(inputs.values_at(index)):
            after = positions + step.h * step.fixed_velocities
            if found := contact.passage(before, after):
                mover = ", as the obstacle or fixed vertices move"
                raise passage_error(step, name, contact, found, after, mover)


def _from_its_last_place(
    step: Step, inputs: RolloutInputs, index: int, contact: BarrierContact, positions: Tensor
) -> Tensor:
    """Return positions as the obstacle has them before it in its last place, seen from the next one."""
    obstacle = contact.obstacle
    if index == 0:
        # The place before the first step is not among the controls, but follows from the velocity.
        with inputs.applied(inputs.values_at(0)):
            return positions + step.dt * obstacle.surface_velocities(positions)
    with inputs.applied(inputs.values_at(index - 1)):
        own = obstacle.own_coordinates(positions)
    with inputs.applied(inputs.values_at(index)):
        return obstacle.in_space(own)
