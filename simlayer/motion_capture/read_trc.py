"""Recordings as TRC files, of Motion Analysis and OpenSim: tab-separated text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from simlayer.errors import ObservationError
from simlayer.motion_capture.contents import Contents, marker_positions, select_markers
from simlayer.motion_capture.text_lines import Lines, check_widths, parse_times, read_text, split_lines

FRAMES, MARKERS, UNITS = "NumFrames", "NumMarkers", "Units"


def read_trc(path: Path, markers: Sequence[str] | None, labels: Mapping[str, str]) -> Contents:
    """Return the markers and times of a TRC file.

    The first line begins with PathFileType. The second names the properties whose values the third has, of
    which NumFrames, NumMarkers and Units are read. The fourth holds Frame#, Time, and a name for every three
    columns, the fifth X1, Y1, Z1, X2, ... A line per frame follows, times in seconds.
    """
    lines = split_lines(read_text(path), "\t", path)
    header = {number: cells for number, cells in lines.items() if number <= 5}
    frames = {number: cells for number, cells in lines.items() if number > 5 and any(cells)}
    if len(header) < 5 or not header[1] or header[1][0] != "PathFileType":
        raise ObservationError(
            f"{path} could not be read as TRC: it must begin with five lines of header, PathFileType, the "
            "names and the values of its properties, Frame# Time and the names of the markers, X1 Y1 Z1 ..."
        )
    properties = dict(zip(header[2], header[3], strict=False))
    if missing := [name for name in (FRAMES, MARKERS, UNITS) if not properties.get(name)]:
        raise ObservationError(f"{path}: lines 2 and 3 must state {', '.join(missing)}.")
    found = [cell for cell in header[4] if cell][2:]
    if [title.lower() for title in header[4][:2]] != ["frame#", "time"] or len(found) == 0:
        raise ObservationError(
            f"{path}: line 4 must have Frame#, Time and the names of the markers, got {header[4]}."
        )
    _check_counts(properties, found, frames, path)
    columns = {name: 2 + 3 * k for k, name in enumerate(found)}
    check_widths(frames, 2 + 3 * len(found), path, f"Frame#, Time and three for each of {len(found)} markers")
    names = select_markers(found, markers, path, labels)
    positions = marker_positions(frames, columns, names, path)
    return Contents(tuple(names), positions, parse_times(frames, 1, "Time", path), properties[UNITS])


def _check_counts(properties: Mapping[str, str], found: list[str], frames: Lines, path: Path) -> None:
    """Check that there are as many markers and frames as the header says."""
    counts = ((MARKERS, "line 4 names", len(found)), (FRAMES, "there are lines of", len(frames)))
    for key, line, count in counts:
        if properties[key] != str(count):
            raise ObservationError(
                f"{path}: line 3 states {properties[key]} {key}, but {line} {count}. If a part of the file "
                "was cut on purpose, correct the number."
            )
