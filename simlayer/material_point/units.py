"""Units of tests, and what the columns of their files mean."""

from __future__ import annotations

import math
import re
from typing import Any

from simlayer.errors import ObservationError, hint

STRESS_UNITS = {"Pa": 1.0, "kPa": 1e3, "MPa": 1e6, "GPa": 1e9, "N/mm²": 1e6, "psi": 6894.757293168}
FORCE_UNITS = {"N": 1.0, "kN": 1e3, "mN": 1e-3, "lbf": 4.4482216152605}
STRAIN_UNITS = {"1": 1.0, "%": 0.01, "mm/mm": 1.0}
LENGTH_UNITS = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "µm": 1e-6, "in": 0.0254}
ANGLE_UNITS = {"rad": 1.0, "degree": math.pi / 180, "deg": math.pi / 180, "°": math.pi / 180}
TORQUE_UNITS = {"N m": 1.0, "N mm": 1e-3, "mN m": 1e-3, "kN m": 1e3}
PRESSURE_UNITS = {**STRESS_UNITS, "mbar": 1e2, "bar": 1e5, "mmHg": 133.322387415}
VOLUME_UNITS = {"m³": 1.0, "L": 1e-3, "mL": 1e-6, "ml": 1e-6, "cm³": 1e-6, "mm³": 1e-9}
TIME_UNITS = {"s": 1.0, "ms": 1e-3, "min": 60.0}

# The units of each kind of column.
STRESS_KINDS = {"nominal": STRESS_UNITS, "true": STRESS_UNITS, "force": FORCE_UNITS}
STRAIN_KINDS = {
    "strain": STRAIN_UNITS,
    "stretch": STRAIN_UNITS,
    "true strain": STRAIN_UNITS,
    "displacement": LENGTH_UNITS,
}


def unit_factor(name: str, unit: Any, units: dict[str, float], kind: str) -> float:
    """Return the SI value of a unit; raises ObservationError, naming `name`, unless it is of the kind."""
    if not isinstance(unit, str) or unit not in units:
        near = f"; {hint(unit, units)}" if isinstance(unit, str) else "."
        raise ObservationError(
            f"{name} must be the unit of the {kind} in the file, one of {', '.join(units)}; got "
            f"{unit!r}{near}"
        )
    return units[unit]


def check_title(title: str, unit: str, units: dict[str, float], *, argument: str, place: str) -> None:
    """Raise ObservationError if the title of a column says another unit of the same kind, as in "F [kN]"."""
    found = re.search(r"[(\[]\s*([^()\[\]]+?)\s*[)\]]", title)
    said = found.group(1) if found else None
    if said in units and units[said] != units[unit]:
        raise ObservationError(
            f"{place}: the column {title!r} is in {said}, and {argument} is {unit!r}: set "
            f"{argument}={said!r}, or correct the title."
        )
