"""Curves of tests read from files."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from jaxtyping import Float

from simlayer.errors import ObservationError
from simlayer.material_point.columns import Column, Columns, checked_column, read_columns
from simlayer.material_point.curves import StressCurve
from simlayer.material_point.paths import DeformationPath, checked_path
from simlayer.material_point.units import STRAIN_KINDS, STRESS_KINDS, check_title, unit_factor
from simlayer.quantities.arguments import checked_choice, checked_number
from simlayer.quantities.arrays import described
from simlayer.quantities.objects import checked_path as checked_file


def read_curve(
    path: str | os.PathLike[str],
    *,
    stress: Column,
    stress_unit: str | None = None,
    strain: Column,
    strain_unit: str | None = None,
    stress_kind: str = "nominal",
    strain_kind: str = "strain",
    area: float | None = None,
    gauge_length: float | None = None,
    time: Column | None = None,
    test: str | DeformationPath = "uniaxial",
    name: str | None = None,
    noise: float | None = None,
    fit_offset: bool = False,
) -> StressCurve:
    """Read the curve of a test from a text file of columns, whatever separates them and stands above them.

    Args:
        path: the file; see `read_columns` for what it may look like.
        stress, strain: the columns, by the titles in the file or by indices from 0.
        stress_unit, strain_unit: their units, which must be given: Pa, kPa, MPa, psi; N, kN for a force; "1"
            or "%" for a strain or stretch; m, mm for a displacement.
        stress_kind: "nominal" (force per area at rest, engineering stress), "true" (force per area as it is,
            of an incompressible specimen), or "force".
        strain_kind: "strain" (engineering strain; the amount of simple shear), "stretch", "true strain"
            (its logarithm), or "displacement".
        area: at rest [m²], for a force.
        gauge_length: at rest [m], for a displacement; of simple shear, the distance of the plates.
        time: the column of the time, which is checked to increase.
        test, name, noise, fit_offset: as for `StressCurve`; the name is that of the file by default.

    Raises:
        ObservationError: if the file is not as described, with the line and the remedy.
    """
    file, deformation = checked_file("path", path), checked_path("test", test)
    checked_choice("stress_kind", stress_kind, list(STRESS_KINDS))
    checked_choice("strain_kind", strain_kind, list(STRAIN_KINDS))
    if deformation.rest != 1 and strain_kind in ("stretch", "true strain"):
        raise ValueError(f"strain_kind must be 'strain' or 'displacement' for {deformation.name}.")
    what = "force" if stress_kind == "force" else f"{stress_kind} stress"
    size = unit_factor("stress_unit", stress_unit, STRESS_KINDS[stress_kind], what)
    length = unit_factor("strain_unit", strain_unit, STRAIN_KINDS[strain_kind], strain_kind)
    size /= _extent("area", area, "m²", stress_kind, "force")
    length /= _extent("gauge_length", gauge_length, "m", strain_kind, "displacement")
    wanted = {"stress": stress, "strain": strain} | ({} if time is None else {"time": time})
    columns = read_columns(file, {role: checked_column(role, column) for role, column in wanted.items()})
    for role, unit, units in (
        ("stress", stress_unit, STRESS_KINDS[stress_kind]),
        ("strain", strain_unit, STRAIN_KINDS[strain_kind]),
    ):
        check_title(columns.titles[role], str(unit), units, argument=f"{role}_unit", place=str(file))
    _check_times(file, columns)
    stretch = _stretch(length * columns.values["strain"], strain_kind, deformation.rest)
    nominal = size * columns.values["stress"]
    if stress_kind == "true" and deformation.rest == 1:
        nominal = nominal / stretch
    try:
        return StressCurve(
            stretch,
            nominal,
            deformation,
            name=file.stem.replace(".", "_") if name is None else name,
            noise=noise,
            fit_offset=fit_offset,
        )
    except ObservationError as error:
        raise ObservationError(f"{file}: {error}") from None


def _stretch(values: Float[np.ndarray, "n"], kind: str, rest: float) -> Float[np.ndarray, "n"]:
    """Return the stretches of values of a kind [1]."""
    if kind == "stretch":
        return values
    return np.exp(values) if kind == "true strain" else rest + values


def _extent(name: str, value: Any, unit: str, kind: str, needed: str) -> float:
    """Return the area or length that a kind of column is divided by, 1 where it is not."""
    if kind != needed:
        if value is not None:
            raise ValueError(f"{name} must be None unless the column is a {needed}, got {described(value)}.")
        return 1.0
    if value is None:
        raise ValueError(f"{name} must be given in {unit} for a {needed}: that of the specimen at rest.")
    return checked_number(name, value, above=0, unit=unit)


def _check_times(file: os.PathLike[str], columns: Columns) -> None:
    """Raise ObservationError where the time decreases."""
    times = columns.values.get("time")
    if times is not None and (np.diff(times) < 0).any():
        row = int((np.diff(times) < 0).argmax()) + 1
        strains = columns.values["strain"]
        raise ObservationError(
            f"{file}: line {columns.lines[row]}: the time decreases from {times[row - 1]:g} to "
            f"{times[row]:g}, and the strain goes from {strains[row - 1]:g} to {strains[row]:g}. If the test "
            "goes on there, leave time= out, which the curve does not need (40.9 and then 40.10 are tenths "
            "counted without a carry); else cut the file where the next test begins."
        )
