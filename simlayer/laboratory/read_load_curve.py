"""Curves of tests on specimens, read from files."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.errors import ObservationError
from simlayer.material_point.columns import Column, Columns, checked_column, read_columns
from simlayer.material_point.units import (
    ANGLE_UNITS,
    FORCE_UNITS,
    LENGTH_UNITS,
    PRESSURE_UNITS,
    TIME_UNITS,
    TORQUE_UNITS,
    VOLUME_UNITS,
    check_title,
    unit_factor,
)
from simlayer.quantities.arguments import checked_choice, checked_integer, checked_number
from simlayer.quantities.objects import checked_path

# What the two columns of each kind of test are, with their units.
CURVE_KINDS = {
    "pull": (("displacement", LENGTH_UNITS), ("force", FORCE_UNITS)),
    "twist": (("angle", ANGLE_UNITS), ("torque", TORQUE_UNITS)),
    "pressure_volume": (("pressure", PRESSURE_UNITS), ("volume", VOLUME_UNITS)),
}


class LoadCurve(NamedTuple):
    """A measured curve in SI units, in the order in which it was measured.

    Attributes:
        amounts: displacements [m], angles [rad] or pressures [Pa].
        loads: forces [N], torques [N m] or changes of volume [m³]; NaN in a gap.
        times: since the start [s], if there is a column of them.
    """

    amounts: Float[Tensor, "n"]
    loads: Float[Tensor, "n"]
    times: Float[Tensor, "n"] | None


def read_load_curve(
    path: str | os.PathLike[str],
    *,
    amount: Column,
    amount_unit: str | None = None,
    load: Column,
    load_unit: str | None = None,
    kind: str = "pull",
    time: Column | None = None,
    time_unit: str | None = None,
    start: float = 0.0,
    rows: int | None = None,
) -> LoadCurve:
    """Read the curve of a test on a specimen, loading and unloading, from a text file of columns.

    Args:
        path: the file; it may have lines above the header, one of units below it, and decimal commas.
        amount: the column of the displacement ("pull"), angle ("twist") or pressure ("pressure_volume"), by
            its title in the file or its index from 0.
        amount_unit: its unit, which must be given: m, mm; rad, degree; Pa, kPa, mmHg.
        load: the column of the force, torque, or change of the volume; cells may be blank.
        load_unit: its unit, which must be given: N, kN; N m, N mm; m³, mL.
        kind: "pull", "twist" or "pressure_volume".
        time: the column of the time, which is checked to increase.
        time_unit: its unit, which must be given with it: s, ms, min.
        start: the time at which the test began, by the clock of the file [s].
        rows: how many rows are used, evenly spread from the first to the last; all by default.

    Raises:
        ObservationError: if the file is not as described, with the line and the remedy.
    """
    file = checked_path("path", path)
    checked_choice("kind", kind, list(CURVE_KINDS))
    roles = {"amount": amount, "load": load} | ({} if time is None else {"time": time})
    units = {"amount": amount_unit, "load": load_unit, "time": time_unit}
    known = dict(zip(("amount", "load"), CURVE_KINDS[kind], strict=True)) | {"time": ("time", TIME_UNITS)}
    factors = {
        role: unit_factor(f"{role}_unit", units[role], known[role][1], known[role][0]) for role in roles
    }
    columns = read_columns(file, {r: checked_column(r, c) for r, c in roles.items()}, gaps=("load",))
    for role in roles:
        argument = f"{role}_unit"
        check_title(
            columns.titles[role], str(units[role]), known[role][1], argument=argument, place=str(file)
        )
    if not np.isfinite(columns.values["load"]).any():
        raise ObservationError(
            f"{file}: the {known['load'][0]} has no number in {len(columns.lines)} rows of the column "
            f"{load!r}: give another column (load), or export the test again."
        )
    values = {role: torch.from_numpy(factors[role] * columns.values[role]) for role in roles}
    if time is not None:
        values["time"] = values["time"] - checked_number("start", start, unit="s")
        _check_times(file, columns, values["time"])
    count, most = len(columns.lines), None if rows is None else checked_integer("rows", rows, least=1)
    if most is not None and most < count:
        chosen = torch.from_numpy(np.linspace(count - 1 if most == 1 else 0, count - 1, most).round()).long()
        values = {role: column[chosen] for role, column in values.items()}
    return LoadCurve(values["amount"], values["load"], values.get("time"))


def _check_times(file: os.PathLike[str], columns: Columns, times: Float[Tensor, "n"]) -> None:
    """Raise ObservationError where times do not increase, or are before the start."""
    if float(times[0]) < 0:
        raise ObservationError(
            f"{file}: line {columns.lines[0]}: the time is {-float(times[0]):g} s before the start of the "
            "test; lower start, or remove the lines before it."
        )
    wrong = times.diff() <= 0
    if bool(wrong.any()):
        row = int(wrong.int().argmax()) + 1
        what = "decreases" if float(times[row]) < float(times[row - 1]) else "stands still"
        raise ObservationError(
            f"{file}: line {columns.lines[row]}: the time {what}, from {float(times[row - 1]):g} s to "
            f"{float(times[row]):g} s. Correct it, remove lines that the machine wrote twice, or cut the "
            "file where the next test begins; or leave time= out if that is no column of times."
        )
