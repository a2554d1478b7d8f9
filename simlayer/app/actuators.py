"""Actuators on selected vertices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simlayer.actuators.cavity_pressure import CavityPressure
from simlayer.app.selection import select
from simlayer.mesh.mesh import Mesh


def cavity_pressure(mesh: Mesh, *, surface: Mapping[str, Any], pressure: float) -> CavityPressure:
    """Return the pressure [Pa] in the cavity inside of a selected surface; see `select`."""
    return CavityPressure(mesh, select(mesh, surface), pressure=pressure)
