"""Which format a recording's file is in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from simlayer.motion_capture.contents import Contents
from simlayer.motion_capture.read_c3d import read_c3d
from simlayer.motion_capture.read_csv import read_csv
from simlayer.motion_capture.read_motive import read_motive
from simlayer.motion_capture.read_qualisys import read_qualisys
from simlayer.motion_capture.read_trc import read_trc
from simlayer.motion_capture.read_vicon import BLOCKS, read_vicon

Reader = Callable[[Path, Sequence[str] | None, Mapping[str, str]], Contents]

# How text in each format begins. A block of Vicon is its name on a line, and its rate on the next.
BEGINNINGS: dict[str, Reader] = {
    r"Format Version[,;\t]": read_motive,
    r"PathFileType\b": read_trc,
    r"(?:[A-Z_]+\t.*\n)*?(?:NO_OF_FRAMES|MARKER_NAMES)\t": read_qualisys,
    rf"(?:{'|'.join(BLOCKS)})[,;\t]*\n[\d.]+[,;\t]*\n": read_vicon,
}
BY_SUFFIX: dict[str, Reader] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".txt": read_csv,
    ".c3d": read_c3d,
    ".trc": read_trc,
}


def reader_of(path: Path) -> Reader | None:
    """Return the function that reads a file, by how it begins, else by its suffix, if there is one."""
    with path.open("rb") as file:
        head = file.read(4096)
    # The second byte of a C3D file is 80, and its header of 512 has unused ones, which are zero.
    if head[1:2] == b"P" and b"\0" in head[:512]:
        return read_c3d
    text = re.sub(r"\r\n?", "\n", head.decode("utf-8-sig", "replace")).lstrip()
    found = (reader for beginning, reader in BEGINNINGS.items() if re.match(beginning, text))
    return next(found, None) or BY_SUFFIX.get(path.suffix.lower())
