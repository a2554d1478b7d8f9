"""Fields of displacements, as digital image correlation exports them, read from files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.errors import ObservationError
from simlayer.laboratory.array_columns import read_array_columns
from simlayer.material_point.columns import Column, Columns, checked_column, read_columns
from simlayer.material_point.units import LENGTH_UNITS, check_title, unit_factor
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.arrays import checked_numbers, described
from simlayer.quantities.objects import checked_instance, checked_path

AXES = "xyz"


class DisplacementField(NamedTuple):
    """Points and their displacements in SI units.

    Attributes:
        points: where they are at rest [m].
        displacements: theirs [m], NaN where they were not measured.
        confidence: of each point; None without a column of it.
    """

    points: Float[Tensor, "K 3"]
    displacements: Float[Tensor, "K 3"]
    confidence: Float[Tensor, "K"] | None


def read_displacements(
    path: str | os.PathLike[str],
    *,
    points: Mapping[str, Column],
    points_unit: str | None = None,
    displacements: Mapping[str, Column],
    displacements_unit: str | None = None,
    confidence: Column | None = None,
    least_confidence: float = 0.0,
    origin: Sequence[float] | Tensor = (0.0, 0.0, 0.0),
) -> DisplacementField:
    """Read displacements of points from a text file of columns, or from arrays in a .npz file.

    Cells of displacements may be blank or NaN where they were not measured. Points without any are left out.

        field = read_displacements("dic.csv", points={"x": "X", "y": "Y"}, points_unit="mm",
                                   displacements={"x": "U", "y": "V"}, displacements_unit="mm")

    Args:
        path: the file. Columns of a text file are named by their titles or indices from 0; those of a .npz
            file by the name of an array of any shape, as "U", or of a part of its last axis, as "U[0]".
        points: the columns of the coordinates at rest, by axis: "x", "y", "z".
        points_unit: their unit, which must be given: m, mm.
        displacements: the columns of one, two or three components, by axis.
        displacements_unit: their unit, which must be given.
        confidence: the column of a confidence from 0 on, by which residuals are multiplied.
        least_confidence: points with less are left out.
        origin: where the origin of the file is on the mesh [m]; points have its coordinate along an axis
            without a column.

    Raises:
        ObservationError: if the file is not as described, with the line and the remedy.
    """
    file, least = checked_path("path", path), checked_number("least_confidence", least_confidence)
    place, moved = _by_axis("points", points), _by_axis("displacements", displacements)
    factors = {
        kind: unit_factor(f"{kind}_unit", unit, LENGTH_UNITS, kind)
        for kind, unit in (("points", points_unit), ("displacements", displacements_unit))
    }
    wanted = {**place, **moved} | ({} if confidence is None else {"confidence": confidence})
    columns = _read(file, {role: checked_column(role, column) for role, column in wanted.items()}, [*moved])
    for roles, kind, unit in ((place, "points", points_unit), (moved, "displacements", displacements_unit)):
        for role in roles:
            argument = f"{kind}_unit"
            check_title(columns.titles[role], str(unit), LENGTH_UNITS, argument=argument, place=str(file))
    start = checked_numbers("origin", origin)
    if start.shape != (3,) or not bool(start.isfinite().all()):
        raise ObservationError(f"origin must be a point (3,), got {described(origin)}.")
    found = start + factors["points"] * _stacked(columns, "points", 0.0)
    shifts = factors["displacements"] * _stacked(columns, "displacements", np.nan)
    used = shifts.isfinite().any(-1)
    weights = None
    if confidence is not None:
        weights = torch.from_numpy(columns.values["confidence"])
        used &= weights >= least
    if not bool(used.any()):
        limit = "" if weights is None else f" with least_confidence={least:g}"
        names = ", ".join(repr(column) for column in displacements.values())
        raise ObservationError(
            f"{file}: no point of {len(used)} has a displacement that counts{limit} in {names}: give other "
            "columns (displacements), or export the field again."
        )
    return DisplacementField(found[used], shifts[used], None if weights is None else weights[used])


def _read(file: Path, wanted: Mapping[str, Column], gaps: Sequence[str]) -> Columns:
    read = read_array_columns if file.suffix.lower() == ".npz" else read_columns
    return read(file, wanted, gaps=gaps)


def _by_axis(name: str, columns: Any) -> dict[str, Column]:
    """Return columns by their roles, such as "points.x"; raises ObservationError for other axes."""
    given = checked_instance(name, columns, Mapping, example="{'x': 'X', 'y': 'Y'}")
    if not given or set(given) - set(AXES):
        raise ObservationError(f"{name} must be columns by axis, some of x, y, z, got {described(columns)}.")
    return {f"{name}.{axis}": given[axis] for axis in AXES if axis in given}


def _stacked(columns: Columns, name: str, missing: float) -> Float[Tensor, "K 3"]:
    """Return three columns side by side, a number where there is none."""
    count = len(columns.lines)
    parts = [columns.values.get(f"{name}.{axis}", np.full(count, missing)) for axis in AXES]
    return torch.from_numpy(np.stack(parts, -1))
