"""Actuators on selected vertices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simlayer.actuators.cavity_pressure import CavityPressure
from simlayer.actuators.muscle import Muscle
from simlayer.actuators.position_servo import PositionServo
from simlayer.app.selection import cells_in_box, select
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arrays import checked_numbers


def cavity_pressure(mesh: Mesh, *, surface: Mapping[str, Any], pressure: float) -> CavityPressure:
    """Return the pressure [Pa] in the cavity inside of a selected surface; see `select`."""
    return CavityPressure(mesh, select(mesh, surface), pressure=pressure)


def muscle(
    mesh: Mesh,
    *,
    fibres: Sequence[float],
    cells: Mapping[str, Any] | Sequence[str] | str | None,
    **options: Any,
) -> Muscle:
    """Return a muscle in all cells, in regions by their names, or in the cells whose middle lies in a box.

    Args:
        mesh: the body.
        fibres: their direction at rest.
        cells: null, names, or `{"box": {"lower": ..., "upper": ...}}`, opposite corners [m].
        options: as for `Muscle`.
    """
    chosen: Any = cells
    if isinstance(cells, Mapping):
        chosen = cells_in_box(mesh, cells)
    return Muscle(mesh, fibres, cells=chosen, **options)


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
