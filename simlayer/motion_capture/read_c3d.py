"""Recordings in the binary format of motion-capture systems, C3D (c3d.org), through the package c3d."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from simlayer.errors import ObservationError
from simlayer.motion_capture.contents import Contents, select_markers


def read_c3d(path: Path, markers: Sequence[str] | None, labels: Mapping[str, str]) -> Contents:
    """Return the markers, in the file's unit, and times from its frame rate that begin at 0."""
    try:
        import c3d
    except ImportError as error:
        raise ObservationError(f"{path}: C3D files need the extra: pip install 'simlayer[c3d]'.") from error
    try:
        # c3d only warns of a file that ends too early, and would return the frames up to there.
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", "reached end of file")
            reader = c3d.Reader(file)
            frames = [points[:, :4] for _, points, _ in reader.read_frames()]
            own, unit = (_strings(reader, name) for name in ("POINT:LABELS", "POINT:UNITS"))
            rate, count = float(reader.point_rate), int(reader.point_used)
    # What c3d raises on a broken file depends on where it is broken: struct.error, AssertionError, ...
    except Exception as error:
        raise ObservationError(f"{path} could not be read as C3D: {error!r}.") from error
    if not count:
        raise ObservationError(f"{path} has no markers.")
    found = [label or f"marker{k}" for k, label in enumerate(own[:count])]
    found += [f"marker{k}" for k in range(len(found), count)]
    names = select_markers(found, markers, path, labels)
    samples = np.array(frames, dtype=np.float64).reshape(len(frames), count, 4)
    # The fourth number is the residual of a marker's reconstruction, negative where it was not observed.
    positions = np.where(samples[..., 3:] < 0, np.nan, samples[..., :3])
    times = np.arange(len(frames)) / rate if rate > 0 else None
    chosen = [found.index(label) for label in names.values()]
    return Contents(tuple(names), positions[:, chosen], times, (*unit, None)[0])


def _strings(reader: object, name: str) -> list[str]:
    """Return the texts of a parameter, none if the file does not have it."""
    parameter = reader.get(name)  # type: ignore[attr-defined]
    return [str(text).strip() for text in np.ravel(parameter.string_array)] if parameter else []
