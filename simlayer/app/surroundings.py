"""How a body is drawn in the pictures of a run: what holds it, what it may touch, and from where."""

from __future__ import annotations

from typing import Any

from simlayer.contact.barrier_contact import BarrierContact
from simlayer.plotting import body_view
from simlayer.steps.base import Step


def surroundings(step: Step) -> dict[str, Any]:
    """Return the fixed components, the obstacles and the view of a step, as pictures take them.

    Under gravity along z the body is seen from the side, so that it shows how far it sags.
    """
    fixed = step.free == 0
    obstacles = [force.obstacle for force in step.forces.values() if isinstance(force, BarrierContact)]
    heavy = step.gravity.detach().abs().reshape(-1, 3).amax(0).cpu()
    upright = bool(heavy[2] > 0) and bool(heavy[2] >= heavy.max())
    view = body_view(step.elements.mesh.vertices, upright=True) if upright else None
    return {"fixed": fixed.cpu() if bool(fixed.any()) else None, "obstacles": obstacles, "view": view}
