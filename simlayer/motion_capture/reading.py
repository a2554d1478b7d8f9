"""Reading recordings of motion capture from files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.errors import ObservationError
from simlayer.motion_capture.contents import Contents
from simlayer.motion_capture.file_format import BY_SUFFIX, Reader, reader_of
from simlayer.motion_capture.recording import Recording
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.objects import checked_instance, checked_names, checked_path

LENGTHS = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}
WORDS = {
    word: unit
    for unit, name in {"m": "met{}", "cm": "centimet{}", "mm": "millimet{}"}.items()
    for word in [name.format(ending) for ending in ("er", "ers", "re", "res")]
}


def read_recording(
    path: str | os.PathLike[str],
    *,
    unit: str | None = None,
    frame_rate: float | None = None,
    markers: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Recording:
    """Read a recording from a file, as exported by a system for motion capture or written as a table.

    The format is recognized by how the file begins: C3D (with `pip install 'simlayer[c3d]'`), the CSV of
    OptiTrack's Motive and of Vicon Nexus, the TSV of Qualisys Track Manager, and TRC are read with their
    units, rates and names. Samples at exactly (0, 0, 0) in these texts are gaps, with a warning.

    A table has a header, then one line per frame, separated by commas, semicolons or tabs. Columns are a time
    (`time_s`, `t`, `time_ms`), and `NAME_x`, `NAME_y`, `NAME_z` for each marker, with a unit if there is one
    (`NAME_x_mm`); other columns are ignored. Of a film of one camera, one of x, y and z is left out for all
    markers, and is NaN. Empty cells and nan are missing; decimals may be separated by commas.

    Args:
        path: the file, .csv, .tsv, .txt, .trc or .c3d.
        unit: unit of the positions: m, cm or mm. By default what the file says, or m if it does not; a unit
            that contradicts the file is an error.
        frame_rate: frames per second [Hz], only where the file has no times.
        markers: names of the markers to read, in this order; by default all.
        labels: names of markers in the file, by the names that they get: `{"marker0": "Tip - 1"}`. A marker
            whose label the file does not have goes by its own name.

    Raises:
        ObservationError: a file that is missing, empty, cut short or malformed; no markers, a marker without
            its coordinates or without a single observation; cells that are not numbers; times that do not
            increase; another number of frames than the file states; unknown units and names; the extra for
            C3D not installed.
    """
    path = checked_path("path", path)
    if unit is not None:
        checked_instance("unit", unit, str)
    if frame_rate is not None:
        frame_rate = _checked_frame_rate(frame_rate)
    if markers is not None:
        listed = [markers] if isinstance(markers, str) else markers
        markers = checked_names("markers", listed, ordered=True)
    contents = _checked_reader(path)(path, markers, labels or {})
    if not len(contents.positions):
        raise ObservationError(f"{path} has no frames.")
    positions = torch.from_numpy(contents.positions * _length(contents, unit, path))
    recording = Recording(_times(contents, frame_rate, path), positions, contents.names, str(path))
    ever = zip(recording.names, recording.observed.any(0).tolist(), strict=True)
    if missing := [name for name, observed in ever if not observed]:
        raise ObservationError(
            f"{path} has no observation of {', '.join(missing)}. Leave them out: name the others in markers=."
        )
    return recording


def _checked_frame_rate(frame_rate: float) -> float:
    """Return frames per second [Hz]; raises ObservationError unless they are positive and finite."""
    try:
        return checked_number("frame_rate", frame_rate, above=0.0, unit="Hz")
    except ValueError:
        raise ObservationError(f"frame_rate must be positive and finite [Hz], got {frame_rate}.") from None


def _length(contents: Contents, unit: str | None, path: Path) -> float:
    """Return the unit of the positions [m]."""
    stated = contents.unit and contents.unit.lower()
    stated = WORDS.get(stated or "", stated)
    for name in (stated, unit):
        if name is not None and name not in LENGTHS:
            raise ObservationError(f"{path}: unit must be one of {', '.join(LENGTHS)}, got {name!r}.")
    if stated and unit and stated != unit:
        raise ObservationError(f"{path} states its positions in {stated}; unit={unit!r} contradicts it.")
    return LENGTHS[stated or unit or "m"]


def _times(contents: Contents, frame_rate: float | None, path: Path) -> Float[Tensor, "T"]:
    """Return the times of the frames [s], from the file or from a frame rate."""
    if contents.times is None and frame_rate is None:
        raise ObservationError(f"{path} has no times: give frame_rate= [Hz], got None.")
    if frame_rate is None:
        return torch.as_tensor(contents.times)
    if contents.times is not None:
        raise ObservationError(f"{path} has times of its own; leave out frame_rate={frame_rate}.")
    return torch.arange(len(contents.positions), dtype=torch.float64) / frame_rate


def _checked_reader(path: Path) -> Reader:
    """Return the function that reads a file; raises ObservationError if there is none, or nothing to read."""
    if path.is_dir():
        raise ObservationError(f"{path} is a folder; give the recording in it.")
    if not path.exists():
        raise ObservationError(f"{path} does not exist (looked from {Path.cwd()}).")
    if path.stat().st_size == 0:
        raise ObservationError(f"{path} is empty (0 bytes).")
    reader = reader_of(path)
    if reader is None:
        raise ObservationError(f"{path}: a recording must be one of {', '.join(BY_SUFFIX)}.")
    return reader
