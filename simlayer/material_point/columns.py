"""Columns of numbers from text files, as laboratories export them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from simlayer.errors import ObservationError, hint
from simlayer.quantities.arguments import checked_integer
from simlayer.quantities.objects import checked_text

Column = str | int

# What separates cells; None is white space. A comma comes late, as it may be that of decimals.
_DELIMITERS = (";", "\t", ",", None)


class Columns(NamedTuple):
    """Columns of a file.

    Attributes:
        values: the numbers of each by its role, NaN in a gap.
        titles: their titles, empty without a header.
        lines: the number of the line of each row, from 1.
    """

    values: dict[str, Float[np.ndarray, "n"]]
    titles: dict[str, str]
    lines: list[int]


def read_columns(path: Path, wanted: Mapping[str, Column], *, gaps: Collection[str] = ()) -> Columns:
    """Return columns of numbers by their titles, or by their indices from 0.

    Cells are separated by semicolons, tabs, commas or white space; decimals by a point, or a comma where
    that does not separate cells. Lines before the header are skipped, and one of units below it. Without
    titles, the first line with numbers in all columns is the first row.

    Args:
        path: the file.
        wanted: the columns by their roles, which messages name.
        gaps: the roles of columns in which a cell may be blank or NaN.

    Raises:
        ObservationError: if the file cannot be read, has no such columns, or a cell is no finite number; with
            the line.
    """
    text = _text(path)
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip(" \t;,")]
    if not lines:
        raise ObservationError(f"{path} is empty: it has no numbers.")
    delimiter, first, indices, titles = _header(path, lines, wanted, gaps)
    rows: list[list[float]] = []
    numbers: list[int] = []
    for number, line in lines[first:]:
        cells = _cells(line, delimiter)
        if not rows and all(_number(cells[k]) is None for k in indices.values() if k < len(cells)):
            continue  # units below the header
        place = f"{path}: line {number}"
        rows.append([_finite(cells, k, place, role, gap=role in gaps) for role, k in indices.items()])
        numbers.append(number)
    if not rows:
        raise ObservationError(f"{path} has no numbers below its header, line {lines[first - 1][0]}.")
    values = np.array(rows)
    return Columns({role: values[:, k] for k, role in enumerate(indices)}, titles, numbers)


def checked_column(role: str, column: Any) -> Column:
    """Return a column, a title or an index; raises TypeError or ValueError, naming `role`, if it is none."""
    if isinstance(column, str):
        return checked_text(role, column)
    return checked_integer(role, column, least=0)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror or error} (looked from {Path.cwd()})."
        raise ObservationError(reason) from error
    for encoding in ("utf-8-sig", "latin-1"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise ObservationError(f"{path} is no text file: export the test as comma-separated text.")


def _header(
    path: Path, lines: list[tuple[int, str]], wanted: Mapping[str, Column], gaps: Collection[str]
) -> tuple[str | None, int, dict[str, int], dict[str, str]]:
    """Return the delimiter, the place of the first row in `lines`, and the indices and titles of columns."""
    named = [column for column in wanted.values() if isinstance(column, str)]
    if numbers := {role: c for role, c in wanted.items() if isinstance(c, str) and _number(c) is not None}:
        role, title = next(iter(numbers.items()))
        raise ObservationError(f"{role} must be a title, or an index without quotation marks, got {title!r}.")
    seen: list[str] = []
    for delimiter in _DELIMITERS:
        for place, (_, line) in enumerate(lines):
            cells = _cells(line, delimiter)
            if named:
                seen += [cell for cell in cells if len(cells) > 1 and _number(cell) is None]
                if not set(named) <= set(cells):
                    continue
            indices = {role: cells.index(c) if isinstance(c, str) else c for role, c in wanted.items()}
            if max(indices.values()) >= len(cells):
                continue
            if named:
                twice = [title for title in named if cells.count(title) > 1]
                if twice:
                    raise ObservationError(
                        f"{path} has several columns {twice[0]!r}: give the index of one, from 0."
                    )
                return delimiter, place + 1, indices, {role: cells[k] for role, k in indices.items()}
            if all(_number(cells[k]) is not None for role, k in indices.items() if role not in gaps):
                return delimiter, place, indices, dict.fromkeys(indices, "")
    if named:
        missing = next((title for title in named if title not in seen), named[0])
        near = hint(missing, dict.fromkeys(seen)) if seen else "it has no header."
        raise ObservationError(
            f"{path} has no line with the title{'s' * (len(named) > 1)} of {', '.join(wanted)}, "
            f"{', '.join(map(repr, named))}: "
            f"{near} Give titles as they stand there, or indices of columns from 0."
        )
    listed = ", ".join(str(index) for index in wanted.values())
    raise ObservationError(
        f"{path} has no line with numbers in the columns {listed}, counted from 0; its first line is "
        f"{lines[0][1].strip()[:80]!r}."
    )


def _cells(line: str, delimiter: str | None) -> list[str]:
    return [cell.strip().strip('"') for cell in line.split(delimiter)]


def _number(cell: str) -> float | None:
    """Return the number of a cell, with a decimal point or comma, None if it is none."""
    text = cell.replace(",", ".") if cell.count(",") == 1 and "." not in cell else cell
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None


def _finite(cells: list[str], index: int, place: str, role: str, *, gap: bool) -> float:
    """Return the number of a cell, NaN in a `gap` that may be.

    Raises:
        ObservationError: with the place, if it is missing or none.
    """
    if gap and (index >= len(cells) or cells[index].lower() in ("", "nan")):
        return math.nan
    if index >= len(cells):
        raise ObservationError(
            f"{place} has {len(cells)} cells, and {role} is in column {index}, counted from 0: complete the "
            "line, or remove it."
        )
    number = _number(cells[index])
    if number is None or not math.isfinite(number):
        raise ObservationError(
            f"{place}: {role} must be a finite number, got {cells[index]!r}: correct the cell, or "
            "remove the line."
        )
    return number
