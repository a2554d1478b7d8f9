"""Lines of delimited text, and the numbers in them."""

from __future__ import annotations

import csv
import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from simlayer.errors import ObservationError

Lines = dict[int, list[str]]  # the cells of each line by its number, which begins at 1


def read_text(path: Path) -> str:
    """Return the text of a file; warns if it may be cut short."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ObservationError(f"{path} could not be read as text: {error}. Save it as UTF-8.") from error
    if text.strip() and not text.endswith("\n"):
        # Cut inside its last number, a file is still one that can be read.
        last = re.split(r"[,;\t\n]", text)[-1].strip()
        warnings.warn(
            f"{path} does not end with a line break: it may be cut short, in its last number too, {last!r}. "
            "If it is whole, add the line break.",
            stacklevel=5,
        )
    return text


def split_lines(text: str, delimiter: str, path: Path) -> Lines:
    """Return the cells of each line, without the blank ones at the end."""
    # In text that is separated by tabs a quotation mark is one; elsewhere it may enclose a delimiter.
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting)
    try:
        lines = dict((reader.line_num, [cell.strip() for cell in line]) for line in reader)
    except csv.Error as error:
        raise ObservationError(f"{path} could not be read: line {reader.line_num}: {error}.") from error
    while lines and not lines[last := next(reversed(lines))]:
        del lines[last]
    return lines


def frequent_delimiter(text: str) -> str:
    """Return the comma, semicolon or tab, whichever is most frequent in the first three lines."""
    return max(",;\t", key="\n".join(text.splitlines()[:3]).count)


def filled(cells: Sequence[str]) -> dict[int, str]:
    """Return the cells that are not empty, by their index."""
    return {index: cell for index, cell in enumerate(cells) if cell}


def parse_number(text: str, place: str) -> float:
    """Return a number of a header; `place` says where it stands."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ObservationError(f"{place}: must be a number, got {text!r}.")
    return value


def parse_columns(lines: Lines, titles: Mapping[int, str], path: Path) -> Float[np.ndarray, "T C"]:
    """Return columns as numbers, NaN for cells that are empty, nan, null, or missing at the end of a line.

    Decimals are separated by points, or all by commas.

    Args:
        lines: the cells of each frame.
        titles: of the columns, by their index, for errors.
        path: the file.
    """
    numbers = np.empty((len(lines), len(titles)))
    marks: dict[str, str] = {}  # a number with each decimal mark
    for row, (number, cells) in zip(numbers, lines.items(), strict=True):
        for column, (index, title) in enumerate(titles.items()):
            cell = cells[index] if index < len(cells) else ""
            row[column] = value = _number(cell)
            marks |= {mark: cell for mark in ".," if mark in cell}
            if math.isinf(value) or len(marks) > 1:
                both = f", beside {marks['.']!r} and {marks[',']!r}" if len(marks) > 1 else ""
                raise ObservationError(
                    f"{path}: line {number}, column {title!r}: must be a finite number, or empty where "
                    f"missing, got {cell!r}{both}."
                )
    return numbers


def _number(cell: str) -> float:
    """Return the number in a cell, NaN if it is missing, infinite if there is none."""
    if not cell or cell.lower() == "null":
        return math.nan
    try:
        return float(cell.replace(",", "."))
    except ValueError:
        return math.inf


def parse_times(lines: Lines, index: int, title: str, path: Path) -> Float[np.ndarray, "T"]:
    """Return a column of times; raises ObservationError where one is missing."""
    times = parse_columns(lines, {index: title}, path)[:, 0]
    if np.isnan(times).any():
        number = list(lines)[int(np.isnan(times).argmax())]
        raise ObservationError(f"{path}: line {number}, column {title!r}: the time is missing.")
    return times


def check_widths(lines: Lines, width: int, path: Path, what: str) -> None:
    """Raise ObservationError if a line holds something beyond its columns."""
    for number, cells in lines.items():
        if any(cells[width:]):
            raise ObservationError(
                f"{path}: line {number} must have at most {width} cells, {what}, got {len(cells)}."
            )


def frame_times(lines: Lines, rate: float, path: Path) -> Float[np.ndarray, "T"]:
    """Return times [s] that begin at 0, from the numbers of the frames in the first column."""
    if not rate > 0:
        raise ObservationError(f"{path}: the frame rate in its header must be positive [Hz], got {rate:g}.")
    numbers = parse_times(lines, 0, "Frame", path)
    return (numbers - numbers[:1]) / rate
