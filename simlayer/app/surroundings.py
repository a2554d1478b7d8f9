"""What is drawn beside a body in pictures of a run: what holds it, and what it may touch."""

from __future__ import annotations

from typing import Any

from simlayer.contact.barrier_contact import BarrierContact
from simlayer.steps.base import Step


def surroundings(step: Step) -> dict[str, Any]:
    """Return the fixed components and the obstacles of a step, as pictures take them."""
    fixed = step.free == 0
    obstacles = [force.obstacle for force in step.forces.values() if isinstance(force, BarrierContact)]
    return {"fixed": fixed.cpu() if bool(fixed.any()) else None, "obstacles": obstacles}
