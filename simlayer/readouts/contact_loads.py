"""What obstacles do to a body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.contact.base import ContactForce
from simlayer.contact.friction import CoulombFriction
from simlayer.fem.surface import lumped_areas
from simlayer.readouts.evaluation import Simulation, evaluated
from simlayer.readouts.reaction import Wrench, checked_point, total_wrench
from simlayer.rollout.inputs import Named
from simlayer.state import State
from simlayer.steps.base import Step


class ContactLoad(NamedTuple):
    """What the obstacle of a contact does to a body.

    Attributes:
        pushing: the total force [N] and torque [N m] by which it is pushed out.
        rubbing: those of friction.
        pressure: the normal force at every vertex over its area at rest [Pa].
    """

    pushing: Wrench
    rubbing: Wrench
    pressure: Float[Tensor, "*batch N"]


def contact_loads(
    simulation: Simulation,
    state: State,
    parameters: Named | None = None,
    *,
    about: Sequence[float] | Tensor = (0.0, 0.0, 0.0),
) -> dict[str, ContactLoad]:
    """Return the force, torque and pressure of every contact, by its name among the forces.

    Friction is that of the velocities of this state, with the contact where the body is.

    Args:
        simulation: a rollout or a step.
        state: of any batch, such as the frames of a trajectory.
        parameters: quantities in place of the step's own, as for a rollout.
        about: the point that torques are about [m], `(3,)` or `(*batch, 3)`.

    Raises:
        KeyError, TypeError, ValueError: as from a rollout.
    """
    with evaluated(simulation, state, parameters) as (step, at):
        x, about = at.positions, checked_point("about", about, at.positions)
        rest = step.rest_positions if step.elements.reshaped is not None else None
        areas = lumped_areas(step.elements.mesh, rest)
        found = {}
        for name, contact in step.forces.items():
            if not isinstance(contact, ContactForce):
                continue
            touch = contact.contact_state(x)
            push = touch.normal_force[..., None] * touch.normals
            pressure = touch.normal_force / torch.where(areas > 0, areas, torch.inf)
            rub = _friction(step, name, at)
            found[name] = ContactLoad(total_wrench(push, x, about), total_wrench(rub, x, about), pressure)
        return found


def _friction(step: Step, name: str, state: State) -> Float[Tensor, "*batch N 3"]:
    """Return the forces of friction on the vertices where they touch the obstacle of a contact."""
    x, total = state.positions, torch.zeros_like(state.positions)
    for dissipation in step.dissipation.values():
        if isinstance(dissipation, CoulombFriction) and dissipation.contact.name == name:
            total = total - dissipation.term(x, x).gradient(state.velocities)
    return total
