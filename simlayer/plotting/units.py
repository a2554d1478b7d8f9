"""The multiples of units in which numbers are shown without exponents."""

from __future__ import annotations

import math
import re

from simlayer.quantities.arguments import checked_number
from simlayer.quantities.objects import checked_instance

_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))
# Units that have multiples, and those of which there are none above the unit itself.
_PREFIXED, _SMALLER = ("Pa", "N", "J", "W"), ("m", "s")


def choose_unit(largest: float, unit: str) -> tuple[float, str]:
    """Return the factor and the name of the multiple of a unit in which a number is between 1 and 1000.

    Lengths are in millimetres between a tenth of one and a metre. A unit without multiples stays as it is, as
    does any for a number that is zero or not finite.

    Args:
        largest: the largest size of the numbers [unit].
        unit: such as "Pa", "N m" or "kg/m³".
    """
    size = abs(checked_number("largest", largest)) if math.isfinite(largest) else 0.0
    first = re.split(r"[ /·]", checked_instance("unit", unit, str))[0]
    rest = unit[len(first) :]
    if (first == "m" and 1e-4 <= size < 1) or (first == "m" and not size):
        return 1e-3, f"mm{rest}"
    if not size or first not in (*_PREFIXED, *_SMALLER):
        return 1.0, unit
    for factor, prefix in _PREFIXES:
        if size >= factor * (1 - 1e-12) and not (factor > 1 and first in _SMALLER):
            return factor, prefix + first + rest
    return _PREFIXES[-1][0], _PREFIXES[-1][1] + first + rest


def format_size(value: float, unit: str) -> str:
    """Format a size with three digits in a multiple of its unit; what is below a nano-unit is called so."""
    factor, name = choose_unit(value, unit)
    shown = value / factor
    if 0 < shown < 1 and factor == _PREFIXES[-1][0]:
        return f"less than 1 {name}"
    return f"{shown:.3g} {name}".rstrip()


def label(name: str, unit: str) -> str:
    """Return the label of an axis: a name, and its unit in brackets unless it has none."""
    name, unit = checked_instance("name", name, str), checked_instance("unit", unit, str)
    return f"{name} [{unit}]" if unit and unit != "1" else name


def round_length(longest: float) -> float:
    """Return the largest number of the form 1, 2 or 5 times a power of ten up to `longest`."""
    power = 10.0 ** math.floor(math.log10(longest) + 1e-12)
    return max(step * power for step in (1, 2, 5) if step * power <= longest * (1 + 1e-12))
