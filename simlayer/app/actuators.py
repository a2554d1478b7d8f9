"""Actuators on selected vertices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simlayer.actuators.cavity_pressure import CavityPressure
from simlayer.actuators.position_servo import PositionServo
from simlayer.app.selection import select
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arrays import checked_numbers


def cavity_pressure(mesh: Mesh, *, surface: Mapping[str, Any], pressure: float) -> CavityPressure:
    """Return the pressure [Pa] in the cavity inside of a selected surface; see `select`."""
    return CavityPressure(mesh, select(mesh, surface), pressure=pressure)


def position_servo(
    mesh: Mesh, *, vertices: Mapping[str, Any], stiffness: float, displacement: Sequence[float]
) -> PositionServo:
    """Return springs [N/m] that pull selected vertices to targets away from where they rest; see `select`.

    Args:
        mesh: the body.
        vertices: the selection.
        stiffness: of each vertex [N/m].
        displacement: of the targets [m].
    """
    selected = select(mesh, vertices)
    targets = mesh.vertices[selected] + checked_numbers("displacement", displacement).to(mesh.vertices)
    return PositionServo(mesh, selected, stiffness=stiffness, targets=targets)
