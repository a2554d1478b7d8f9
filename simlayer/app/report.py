"""Printed output of a run after the fit: the table of results, and the files."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simlayer.identification.losses import format_residual
from simlayer.identification.measured_values import EXACT, format_change, format_measured
from simlayer.identification.unknowns import format_value


def format_table(results: Mapping[str, Any]) -> str:
    """Format what is not determined, a line per parameter, initial -> found (reference, error), residuals."""
    uncertainty = results.get("uncertainty", {"undetermined": ()})
    lines = [f"NOT DETERMINED: {sentence}" for sentence in uncertainty["undetermined"]]
    if steps := uncertainty.get("next_step"):
        lines.append(f"NOT CONVERGED: another step would change the values by {steps:.2g} standard errors.")
    lines += [_format_parameter(name, row) for name, row in results["parameters"].items()]
    if any("±" in line for line in lines):
        lines.append(_format_errors(uncertainty))
    lines += _format_discretization(results["parameters"])
    for name, other in results.get("takes", {}).items():
        lines.append(f"Residual of take {name}: {format_residual(other)}")
    if "residual" in results and "takes" not in results:
        lines.append(f"Residual of the fit: {format_residual(results['residual'])}")
    if "holdout" in results:
        other = results["holdout"]
        lines.append(
            f"Residual of the hold-out: {format_residual(other['residual'])}, {other['source']}, released at "
            f"{other['release_time']:.5g} s"
        )
    if text := _format_readouts(results.get("readouts", {})):
        lines.append(text)
    return "\n".join(lines)


def _format_readouts(found: Mapping[str, Any]) -> str:
    """Format the largest stress and reaction of the motion that was found; empty if there are none."""
    parts = []
    if stress := found.get("largest_von_mises_stress"):
        parts.append(f"von Mises stress up to {stress['value']:.3g} Pa at {stress['time']:.3g} s")
    force = found.get("largest_reaction")
    if force and any(force["value"]):  # Nothing holds a body without fixed vertices.
        size = sum(part**2 for part in force["value"]) ** 0.5
        parts.append(f"held by up to {size:.3g} N at {force['time']:.3g} s")
    return f"The body found: {', '.join(parts)}" if parts else ""


def format_files(folder: Path) -> str:
    """Format which files a run has written, what to install for its movie, and how to see its motion."""
    files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    line = f"Written to {folder}: {', '.join(files)}"
    if "motion.pvd" in files and "motion.mp4" not in files:
        line += "\nThere is no motion.mp4, which needs the extra `movie`: pip install 'simlayer[movie]'"
    place = shlex.quote(str(folder))
    if "motion.pvd" in files:
        line += f"\nTo see the motion in a browser, with the extra `viewer`: simlayer-view {place}"
    return line


def _format_parameter(name: str, row: Mapping[str, Any]) -> str:
    unit = f" {row['unit']}" if row["unit"] not in ("", "1") else ""
    many = f", mean of {row['values']}" if "values" in row else ""
    text = f"{name}: {format_value(row['initial'])}{unit} -> {format_found(row, unit)}{many}"
    if row["reference"] is None:
        return text
    reference = f"reference {format_value(row['reference'])}{unit}"
    if row["relative_error"] is not None:
        reference += f", {'median error' if many else 'error'} {row['relative_error']:.2%}"
    lines = [f"{text} ({reference})", *(f"  where it is {line}" for line in format_regions(row))]
    return "\n".join(lines)


def _format_discretization(parameters: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Format what a mesh and a step without error would change: a line per parameter, and a last one."""
    lines = []
    for name, row in parameters.items():
        if "discretization" not in row or not row.get("determined", True):
            continue
        changes = (
            f"{part} {format_change(change, row['unit'])}" for part, change in row["discretization"].items()
        )
        lines.append(f"Discretization of {name}: {', '.join(changes)}")
    if lines:
        lines.append(
            "Discretization: what a mesh or step without error would change, estimated from coarser ones."
        )
    return lines


def _format_errors(uncertainty: Mapping[str, Any]) -> str:
    numbers, effective = uncertainty["observed_numbers"], uncertainty["effective_numbers"]
    if not uncertainty["correlated_in_time"]:
        return (
            f"Standard errors (±): as if the residuals of the {numbers:,} observed numbers were independent."
        )
    return (
        f"Standard errors (±): residuals are correlated in time, so that the {numbers:,} observed numbers "
        f"tell as much as {effective:,.0f} independent ones."
    )


def format_found(row: Mapping[str, Any], unit: str) -> str:
    """Format the value that was found for a parameter, with its standard error."""
    if not row.get("determined", True):
        return f"not determined (stopped at {format_value(row['stopped'])}{unit})"
    found, errors = row["found"], row.get("standard_error")
    if errors is None:
        return f"{format_value(found)}{unit}"
    if isinstance(found, float):
        exact = not errors > EXACT * abs(found)
        return f"{format_value(found)}{unit}" if exact else format_measured(found, errors, row["unit"])
    parts = (format_measured(*pair, "") for pair in zip(found, errors, strict=True))
    return f"({', '.join(parts)}){unit}"


def format_regions(row: Mapping[str, Any]) -> list[str]:
    """Format the errors of a field in each region of the truth, a line each."""
    lines = []
    for region in row.get("regions", ()):
        (low, high), count = region["reference"], region["values"]
        level = format_value(low) if low == high else f"{format_value(low)} to {format_value(high)}"
        errors = f"median error {region['median_error']:.1%}, worst {region['worst_error']:.1%}"
        lines.append(f"{level} ({count:,} values): {errors}")
    return lines
