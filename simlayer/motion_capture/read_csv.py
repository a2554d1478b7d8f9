"""Recordings as a table of text: a header, then one line per frame."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from simlayer.errors import ObservationError
from simlayer.motion_capture.contents import Contents, select_markers
from simlayer.motion_capture.text_lines import Lines, parse_columns, parse_times, read_text, split_lines

COORDINATE = re.compile(r"([^;\t]+?)[ _.:]([xyz])(?:[ _]?[(\[]?([a-zµ]+)[)\]]?)?", re.IGNORECASE)
TIME = re.compile(r"(?:time|t)(?:[ _]?[(\[]?(s|ms)[)\]]?)?", re.IGNORECASE)
SECONDS = {"s": 1.0, "ms": 1e-3}

Columns = dict[str, dict[str, int]]  # index of a column by marker and axis


def read_csv(path: Path, markers: Sequence[str] | None, labels: Mapping[str, str]) -> Contents:
    """Return the markers, in the header's unit, and the times if there is a column of them.

    Where none of the markers has a column for one of x, y and z, it was not observed, as by a single camera.
    """
    header, lines = _lines(path)
    times = _times(header, lines, path)
    columns, units = _marker_columns(header, path)
    names = select_markers(tuple(columns), markers, path, labels)
    observed = [axis for axis in "xyz" if any(axis in columns[name] for name in names.values())]
    for name in names.values():
        if missing := [axis for axis in observed if axis not in columns[name]]:
            raise ObservationError(
                f"{path}: marker {name!r} has no column for {' and '.join(missing)}. If it is not a "
                "marker, name the markers in markers=."
            )
    if len(observed) < 2:
        raise ObservationError(f"{path}: markers need columns for at least two of x, y and z.")
    indices = [columns[name][axis] for name in names.values() for axis in observed]
    if len({units[index] for index in indices}) > 1:
        examples = ", ".join({units[index]: repr(header[index]) for index in indices}.values())
        raise ObservationError(f"{path}: coordinates must be in one unit, got columns {examples}.")
    positions = np.full((len(lines), len(names), 3), np.nan)
    numbers = parse_columns(lines, {index: header[index] for index in indices}, path)
    positions[..., ["xyz".index(axis) for axis in observed]] = numbers.reshape(
        len(lines), len(names), len(observed)
    )
    return Contents(tuple(names), positions, times, units[indices[0]])


def _lines(path: Path) -> tuple[list[str], Lines]:
    """Return the header's cells, and the cells of the other lines by line number."""
    text = read_text(path)
    lines = {number: line for number, line in split_lines(text, _delimiter(text), path).items() if line}
    if not lines:
        raise ObservationError(f"{path} is empty: it has no header.")
    header = lines.pop(next(iter(lines)))
    for number, line in lines.items():
        if len(line) != len(header):
            raise ObservationError(
                f"{path}: line {number} must have {len(header)} cells like the header, got {len(line)}."
            )
    return header, lines


def _delimiter(text: str) -> str:
    """Return the first of comma, semicolon and tab by which the header has coordinates, else the comma."""
    header = text.lstrip().partition("\n")[0]
    for delimiter in ",;\t":
        if any(COORDINATE.fullmatch(cell.strip(' "\r')) for cell in header.split(delimiter)):
            return delimiter
    return ","


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
            f"by commas, semicolons or tabs; its header is {','.join(header)[:200]!r}."
        )
    return columns, units


def _times(header: list[str], lines: Lines, path: Path) -> Float[np.ndarray, "T"] | None:
    """Return the column of times [s], if there is one."""
    found = [(index, match) for index, title in enumerate(header) if (match := TIME.fullmatch(title))]
    if not found:
        return None
    if len(found) > 1:
        titles = ", ".join(header[index] for index, _ in found)
        raise ObservationError(f"{path}: a recording must have at most one column of times, got {titles}.")
    index, match = found[0]
    times = parse_times(lines, index, header[index], path)
    return times * SECONDS[(match.group(1) or "s").lower()]
