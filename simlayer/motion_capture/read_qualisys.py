"""Recordings as exported by Qualisys Track Manager: tab-separated text, with capitals in its header."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from simlayer.errors import ObservationError
from simlayer.motion_capture.contents import Contents, marker_positions, select_markers
from simlayer.motion_capture.text_lines import (
    Lines,
    check_widths,
    parse_columns,
    parse_number,
    parse_times,
    read_text,
    split_lines,
)

NAMES, FRAMES, RATE, INCLUDED = "MARKER_NAMES", "NO_OF_FRAMES", "FREQUENCY", "DATA_INCLUDED"
TITLES = ("Frame", "Time")


def read_qualisys(path: Path, markers: Sequence[str] | None, labels: Mapping[str, str]) -> Contents:
    """Return the markers of a TSV file of 3D data, in millimetres, and its times.

    Each line of the header has a key in capitals and its values; NO_OF_FRAMES, FREQUENCY, DATA_INCLUDED and
    MARKER_NAMES are read. The data may have a row of titles, and columns Frame and Time before the markers.
    Without a column of times they follow from FREQUENCY, and begin at 0.
    """
    lines = split_lines(read_text(path), "\t", path)
    header, frames = _split(lines)
    kind = header.get(INCLUDED, ["3D"])[0]
    found = [name for name in header.get(NAMES, []) if name]
    if not found or kind != "3D":
        raise ObservationError(
            f"{path} must be an export of 3D data with its header, {NAMES} among it, got {INCLUDED} {kind} "
            f"and {', '.join(header)}. Choose 3D data, and the header, in the export."
        )
    titles = [cell for cell in next(iter(frames.values()), []) if cell]
    # Where the first row is one of titles, it says which columns stand before the markers.
    titled = len(titles) > 0 and titles[0] in (*TITLES, *(f"{name} X" for name in found[:1]))
    if titled:
        frames.pop(next(iter(frames)))
    if header.get(FRAMES, [str(len(frames))])[0] != str(len(frames)):
        raise ObservationError(
            f"{path}: the header states {FRAMES} {header[FRAMES][0]}, but there are {len(frames)} lines of "
            "data. If a part of the file was cut on purpose, correct the number."
        )
    leading = [title for title in titles[:2] if title in TITLES] if titled else _untitled(frames, found, path)
    first = len(leading)
    check_widths(frames, first + 3 * len(found), path, f"three for each of {len(found)} markers")
    times = _times(header, frames, leading, path)
    names = select_markers(found, markers, path, labels)
    columns = {name: first + 3 * k for k, name in enumerate(found)}
    return Contents(tuple(names), marker_positions(frames, columns, names, path), times, "mm")


def _split(lines: Lines) -> tuple[dict[str, list[str]], Lines]:
    """Return the values of each key of the header, and the lines after it."""
    header: dict[str, list[str]] = {}
    rest = dict(lines)
    for number, cells in lines.items():
        if any(cells) and not re.fullmatch("(?!NULL)[A-Z][A-Z_]+", cells[0]):
            break
        del rest[number]
        if cells:
            header.setdefault(cells[0], cells[1:] or [""])  # An event has a line of its own, as others do.
    return header, {number: cells for number, cells in rest.items() if cells}


def _untitled(frames: Lines, found: list[str], path: Path) -> list[str]:
    """Return what stands before the markers in data without titles: Frame, Time, both or nothing."""
    width = max((len(cells) for cells in frames.values()), default=0)
    extra = max(width - 3 * len(found), 0)
    empty = [all(not any(cells[k : k + 1]) for cells in frames.values()) for k in range(width)]
    if extra and empty[-1]:  # Lines may end with a tab.
        extra -= 1
        if empty[-2]:
            raise ObservationError(
                f"{path}: the last marker, {found[-1]}, was never observed, so that it is not clear which "
                "columns stand before the markers. Export the row of titles, too."
            )
    if extra == 1:
        numbers = parse_columns(frames, {0: "Frame"}, path)[:, 0]
        return ["Frame" if (np.diff(numbers) == 1).all() else "Time"]
    return list(TITLES[:extra])


def _times(
    header: Mapping[str, list[str]], frames: Lines, leading: list[str], path: Path
) -> Float[np.ndarray, "T"] | None:
    """Return the times [s], from their column or from the frequency."""
    if "Time" in leading:
        return parse_times(frames, leading.index("Time"), "Time", path)
    if RATE not in header:
        return None
    rate = parse_number(header[RATE][0], f"{path}: {RATE}")
    if not rate > 0:
        raise ObservationError(f"{path}: {RATE} must be positive [Hz], got {rate:g}.")
    return np.arange(len(frames)) / rate
