"""Recordings as exported by Vicon Nexus: text in blocks, of which Trajectories holds the markers."""

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
    read_text,
    split_lines,
)

BLOCK = "Trajectories"
BLOCKS = (BLOCK, "Devices", "Events", "Joints", "Model Outputs", "Segments")


def read_vicon(path: Path, markers: Sequence[str] | None, labels: Mapping[str, str]) -> Contents:
    """Return the markers of the block Trajectories, and times from its rate that begin at 0.

    A block is its name, its rate in Hz, a row of names, each above the first of its columns, a row of titles
    that begins with Frame and Sub Frame, a row of units, and a line per frame; a blank line ends it. Columns
    X, Y, Z of a name are a marker, those of velocities, X', and of other blocks are not read.
    """
    text = read_text(path)
    block = _block(split_lines(text, frequent_delimiter(text), path), path)
    (_, (rate, *_)), (_, above), (number, titles), (_, units) = list(block.items())[1:5]
    found = [
        (name, index) for index, name in filled(above).items() if titles[index : index + 3] == ["X", "Y", "Z"]
    ]
    if titles[0] != "Frame" or not found:
        raise ObservationError(
            f"{path}: line {number} must have Frame, Sub Frame, and X, Y, Z below the name of each marker, "
            f"got {', '.join(titles[:6])} below {', '.join(above[:6])}."
        )
    frames = dict(list(block.items())[5:])
    check_widths(frames, len(titles), path, "like the titles")
    names = select_markers([name for name, _ in found], markers, path, labels)
    columns = dict(found)
    positions = marker_positions(frames, columns, names, path)
    stated = {unit for label in names.values() for unit in units[columns[label] :][:3]}
    if len(stated) > 1:
        raise ObservationError(f"{path}: coordinates must be in one unit, got {', '.join(sorted(stated))}.")
    times = frame_times(frames, parse_number(rate, f"{path}: the rate of {BLOCK}"), path)
    return Contents(tuple(names), positions, times, (*stated, None)[0])


def _block(lines: Lines, path: Path) -> Lines:
    """Return the lines of the block, its name the first of them."""
    found: Lines = {}
    for number, cells in lines.items():
        if found and not any(cells):
            break
        if found or filled(cells) == {0: BLOCK}:
            found[number] = cells
    if len(found) < 5:
        others = [cells[0] for cells in lines.values() if cells and cells[0] in BLOCKS]
        raise ObservationError(
            f"{path} has no block {BLOCK} with its rate, names, titles and units, only {', '.join(others)}. "
            "Export the trajectories, too."
        )
    return found
