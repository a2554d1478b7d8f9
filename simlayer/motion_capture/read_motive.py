"""Recordings as exported by OptiTrack's Motive: comma-separated text with a header of several rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from simlayer.errors import ObservationError
from simlayer.motion_capture.contents import Contents, marker_positions, select_markers
from simlayer.motion_capture.text_lines import (
    Lines,
    check_widths,
    filled,
    frame_times,
    frequent_delimiter,
    parse_number,
    parse_times,
    read_text,
    split_lines,
)

RATE, UNITS = "Export Frame Rate", "Length Units"


def read_motive(path: Path, markers: Sequence[str] | None, labels: Mapping[str, str]) -> Contents:
    """Return the markers and times of a CSV file that begins with Format Version.

    The first line has pairs of a key and its value; Length Units and Export Frame Rate are read. Then rows
    titled Type, Name and ID describe the columns, one of Rotation, Position and the like has no title, and
    the last of the header is Frame, Time (Seconds), X, Y, Z, ... Positions of the type Marker are what was
    measured. Rigid bodies and bones, and their expected markers, are what Motive made of that, and are not
    read. A blank cell is a gap.
    """
    text = read_text(path)
    lines = split_lines(text, frequent_delimiter(text), path)
    header, frames = _split(lines, path)
    found = _marker_columns(header, path)
    titles = header["Frame"]
    check_widths(frames, len(titles), path, "like the header")
    names = select_markers([name for name, _ in found], markers, path, labels)
    positions = marker_positions(frames, dict(found), names, path)
    properties = next(iter(lines.values()))
    timed = [index for index, title in filled(titles).items() if title.lower() == "time (seconds)"]
    rate = _property(properties, RATE)
    times = None
    if timed:
        times = parse_times(frames, timed[0], titles[timed[0]], path)
    elif rate:
        times = frame_times(frames, parse_number(rate, f"{path}: {RATE}"), path)
    return Contents(tuple(names), positions, times, _property(properties, UNITS))


def _split(lines: Lines, path: Path) -> tuple[dict[str, list[str]], Lines]:
    """Return the rows of the header by title, "" for that of Rotation and Position, and the frames."""
    header: dict[str, list[str]] = {}
    rest = {number: cells for number, cells in lines.items() if any(cells)}
    for number, cells in list(rest.items()):
        del rest[number]
        if cells[0] == "Frame":
            header["Frame"] = cells
            break
        if not cells[0]:
            header[cells[1]] = cells
    if missing := [title or "Position" for title in ("Type", "Name", "", "Frame") if title not in header]:
        raise ObservationError(
            f"{path}: its header has no row of {', '.join(missing)}. Export it with the header information."
        )
    return header, rest


def _marker_columns(header: Mapping[str, list[str]], path: Path) -> list[tuple[str, int]]:
    """Return the name of each marker, and the column of its x."""
    kinds = {index: kind for index, kind in filled(header["Type"]).items() if index > 1}
    found = [
        (header["Name"][index], index)
        for index, kind in kinds.items()
        if kind == "Marker"
        and header[""][index : index + 3] == ["Position"] * 3
        and header["Frame"][index : index + 3] == ["X", "Y", "Z"]
    ]
    if not found:
        others = ", ".join(dict.fromkeys(kinds.values()))
        raise ObservationError(
            f"{path} has no positions of the type Marker, only {others}. Export with Markers."
        )
    return found


def _property(cells: Sequence[str], key: str) -> str | None:
    """Return the value that follows a key."""
    return cells[cells.index(key) + 1] if key in cells[:-1] else None
