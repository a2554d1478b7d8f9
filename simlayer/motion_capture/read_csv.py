"""Recordings as comma-separated text: a header, then one line per frame."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from simlayer.errors import ObservationError
from simlayer.motion_capture.contents import Contents, select_markers

COORDINATE = re.compile(r"([^;\t]+?)[ _.:]([xyz])(?:[ _]?[(\[]?([a-zµ]+)[)\]]?)?", re.IGNORECASE)
TIME = re.compile(r"(?:time|t)(?:[ _]?[(\[]?(s|ms)[)\]]?)?", re.IGNORECASE)
SECONDS = {"s": 1.0, "ms": 1e-3}

Columns = dict[str, dict[str, int]]  # index of a column by marker and axis


def read_csv(path: Path, markers: Sequence[str] | None, labels: Mapping[str, str]) -> Contents:
    """Return the markers, in the header's unit, and the times if there is a column of them."""
    header, lines = _lines(path)
    times = _times(header, lines, path)
    columns, units = _marker_columns(header, path)
    names = select_markers(tuple(columns), markers, path, labels)
    for name in names.values():
        if missing := [axis for axis in "xyz" if axis not in columns[name]]:
            raise ObservationError(
                f"{path}: marker {name!r} has no column for {' and '.join(missing)}. If it is not a "
                "marker, name the markers in markers=."
            )
    indices = [columns[name][axis] for name in names.values() for axis in "xyz"]
    if len({units[index] for index in indices}) > 1:
        examples = ", ".join({units[index]: repr(header[index]) for index in indices}.values())
        raise ObservationError(f"{path}: coordinates must be in one unit, got columns {examples}.")
    positions = _numbers(header, lines, indices, path).reshape(len(lines), len(names), 3)
    return Contents(tuple(names), positions, times, units[indices[0]])


def _lines(path: Path) -> tuple[list[str], dict[int, list[str]]]:
    """Return the header's cells, and the cells of the other lines by line number."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            text = file.read()
            reader = csv.reader(io.StringIO(text, newline=""))
            lines = [(reader.line_num, [cell.strip() for cell in line]) for line in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ObservationError(f"{path} could not be read as comma-separated text: {error}.") from error
    cells = {number: line for number, line in lines if line}  # An empty line has no cells.
    if not cells:
        raise ObservationError(f"{path} is empty: it has no header.")
    header = cells.pop(next(iter(cells)))
    for number, line in cells.items():
        if len(line) != len(header):
            raise ObservationError(
                f"{path}: line {number} must have {len(header)} cells like the header, got {len(line)}."
            )
    if not text.endswith(("\n", "\r")):
        # Cut inside its last number, a file is still one that can be read.
        warnings.warn(
            f"{path} does not end with a line break: it may be cut short, in its last number too, "
            f"{lines[-1][1][-1]!r}. If it is whole, add the line break.",
            stacklevel=5,
        )
    return header, cells


def _marker_columns(header: list[str], path: Path) -> tuple[Columns, dict[int, str | None]]:
    """Return the columns that look like coordinates, and the unit of each by its index."""
    columns: Columns = {}
    units: dict[int, str | None] = {}
    for index, title in enumerate(header):
        if not (match := COORDINATE.fullmatch(title)):
            continue
        name, axis, unit = match.group(1), match.group(2).lower(), match.group(3)
        if axis in columns.setdefault(name, {}):
            raise ObservationError(f"{path}: marker {name!r} has two columns for {axis}.")
        columns[name][axis] = index
        units[index] = unit and unit.lower()
    if not columns:
        raise ObservationError(
            f"{path} has no columns of markers: NAME_x, NAME_y, NAME_z, or with a unit NAME_x_mm, separated "
            f"by commas; its header is {','.join(header)[:200]!r}."
        )
    return columns, units


def _times(header: list[str], lines: dict[int, list[str]], path: Path) -> Float[np.ndarray, "T"] | None:
    """Return the column of times [s], if there is one."""
    found = [(index, match) for index, title in enumerate(header) if (match := TIME.fullmatch(title))]
    if not found:
        return None
    if len(found) > 1:
        titles = ", ".join(header[index] for index, _ in found)
        raise ObservationError(f"{path}: a recording must have at most one column of times, got {titles}.")
    index, match = found[0]
    times = _numbers(header, lines, [index], path)[:, 0]
    if np.isnan(times).any():
        number = list(lines)[int(np.isnan(times).argmax())]
        raise ObservationError(f"{path}: line {number}, column {header[index]!r}: the time is missing.")
    return times * SECONDS[(match.group(1) or "s").lower()]


def _numbers(
    header: list[str], lines: dict[int, list[str]], indices: list[int], path: Path
) -> Float[np.ndarray, "T C"]:
    """Return columns as numbers, NaN for empty cells."""
    numbers = np.empty((len(lines), len(indices)))
    for row, (number, cells) in zip(numbers, lines.items(), strict=True):
        for column, index in enumerate(indices):
            try:
                row[column] = float(cells[index] or "nan")
            except ValueError:
                row[column] = np.inf
            if np.isinf(row[column]):
                raise ObservationError(
                    f"{path}: line {number}, column {header[index]!r}: must be a finite number, or empty "
                    f"where missing, got {cells[index]!r}."
                )
    return numbers
