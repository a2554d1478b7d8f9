"""Measured values in print: 280.7 ± 1.3 kPa."""

from __future__ import annotations

import math

PREFIXES = {9: "G", 6: "M", 3: "k", 0: "", -3: "m", -6: "µ"}

# Units that take a prefix in front; others are printed as they are.
PREFIXED = ("Pa", "Pa s", "N", "N/m", "m", "m/s", "s")

# A relative error below this shows no digits that a table has room for.
EXACT = 1e-6


def format_measured(value: float, error: float, unit: str) -> str:
    """Format a value with its standard error, of which two digits are shown, and an SI prefix.

    An error of less than a millionth of the value is left out.
    """
    scale = max(abs(value), error)
    if not (math.isfinite(scale) and scale > 0):
        return _with_unit(f"{value:.6g}", unit)
    power, unit = _prefixed(scale, unit)
    value, error = value / 10.0**power, error / 10.0**power
    if not error > EXACT * abs(value):
        return _with_unit(f"{value:.6g}", unit)
    decimals = max(1 - math.floor(math.log10(float(f"{error:.1e}"))), 0)
    if decimals > 8 or scale / 10.0**power >= 1e6:
        return _with_unit(f"{value:.6g} ± {error:.2g}", unit)
    return _with_unit(f"{value:.{decimals}f} ± {error:.{decimals}f}", unit)


def format_change(change: float | list[float], unit: str) -> str:
    """Format a change, or a few, with three digits, a sign and an SI prefix."""
    if not isinstance(change, float):
        return f"({', '.join(format_change(part, unit) for part in change)})"
    power, unit = _prefixed(abs(change), unit)
    return _with_unit(f"{change / 10.0**power:+.3g}", unit)


def _prefixed(scale: float, unit: str) -> tuple[int, str]:
    """Return the power of ten by which numbers of a scale are divided, and the unit with its prefix."""
    known = unit in PREFIXED and math.isfinite(scale) and scale > 0
    power = min(max(3 * math.floor(math.log10(scale) / 3), -6), 9) if known else 0
    return power, PREFIXES[power] + unit


def _with_unit(text: str, unit: str) -> str:
    return text if unit in ("", "1") else f"{text} {unit}"
