"""Columns of numbers from the arrays of a .npz file."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from simlayer.errors import ObservationError, hint
from simlayer.material_point.columns import Column, Columns


def read_array_columns(path: Path, wanted: Mapping[str, Column], *, gaps: Collection[str] = ()) -> Columns:
    """Return columns from arrays of any shape, all of one size, flattened.

    Args:
        path: the file.
        wanted: the columns by their roles, which messages name: the name of an array, as "U", or of a part of
            its last axis, as "U[0]".
        gaps: the roles of columns that may be NaN.

    Raises:
        ObservationError: if the file cannot be read, has no such arrays, their sizes differ, or a number is
            not finite, with its index.
    """
    arrays = _arrays(path)
    values = {role: _column(path, arrays, role, column) for role, column in wanted.items()}
    first = next(iter(values))
    for role, column in values.items():
        if len(column) != len(values[first]):
            raise ObservationError(
                f"{path}: {first} has {len(values[first])} numbers and {role} has {len(column)}; all must be "
                "as many."
            )
        wrong = np.isinf(column) if role in gaps else ~np.isfinite(column)
        if wrong.any():
            index = int(wrong.argmax())
            raise ObservationError(
                f"{path}: {role} must be finite, got {column[index]} at index {index} of {wanted[role]!r}."
            )
    titles = {role: str(column) for role, column in wanted.items()}
    return Columns(values, titles, list(range(len(values[first]))))


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ObservationError(
            f"{path} cannot be read as arrays of numbers ({error}); write it by numpy.savez."
        ) from error


def _column(path: Path, arrays: Mapping[str, Any], role: str, column: Column) -> Float[np.ndarray, "n"]:
    found = re.fullmatch(r"(.*?)(?:\[(\d+)\])?", str(column))
    assert found is not None
    name, part = found[1], found[2]
    if name not in arrays:
        raise ObservationError(f"{path} has no array {name!r} for {role}; {hint(name, list(arrays))}")
    array = arrays[name]
    if array.dtype.kind not in "fiu":
        raise ObservationError(f"{path}: {role}: the array {name!r} must hold numbers, got {array.dtype}.")
    if part is not None:
        if array.ndim < 2 or int(part) >= array.shape[-1]:
            raise ObservationError(f"{path}: {role}: {column!r} is no part of an array {array.shape}.")
        array = array[..., int(part)]
    return array.astype(np.float64).flatten()
