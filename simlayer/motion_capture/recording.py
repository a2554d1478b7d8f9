"""Recordings of motion capture: where markers on a body were seen, and when."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simlayer.errors import ObservationError
from simlayer.motion_capture.contents import Contents
from simlayer.motion_capture.read_c3d import read_c3d
from simlayer.motion_capture.read_csv import read_csv

LENGTHS = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}
READERS = {".csv": read_csv, ".c3d": read_c3d}


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """Positions of K markers in T frames, in one fixed frame of reference, as plain data.

    A marker that was not seen in a frame is NaN there, in all coordinates if in one. Times are in double
    precision, because single precision does not tell apart the frames of a long recording.

    Args:
        times: when each frame was taken [s]; they increase.
        markers: positions [m], in torch's default dtype.
        names: of the markers; by default marker0, marker1, ...
        source: where the recording comes from, for messages.

    Raises:
        ObservationError: shapes that do not fit, no frames or no markers, times that do not increase,
            infinite positions, names that are too few or not different.
    """

    times: Float[Tensor, "T"]
    markers: Float[Tensor, "T K 3"]
    names: tuple[str, ...] = ()
    source: str = "recording"

    def __post_init__(self) -> None:
        if self.times.ndim != 1 or self.markers.shape != (len(self.times), *self.markers.shape[1:2], 3):
            raise ObservationError(
                f"{self.source}: times and markers must be of shape (T,) and (T, K, 3), got "
                f"{tuple(self.times.shape)} and {tuple(self.markers.shape)}."
            )
        object.__setattr__(self, "times", self.times.double())
        markers = self.markers.to(torch.get_default_dtype())
        seen = ~markers.isnan().any(-1, keepdim=True)
        object.__setattr__(self, "markers", markers.where(seen, torch.nan))
        names = tuple(self.names) or tuple(f"marker{k}" for k in range(markers.shape[1]))
        object.__setattr__(self, "names", names)
        if not self.markers.numel():
            raise ObservationError(
                f"{self.source}: a recording needs at least one frame and one marker, "
                f"got {markers.shape[0]} and {markers.shape[1]}."
            )
        if self.markers.isinf().any():
            raise ObservationError(f"{self.source}: positions must be finite, or NaN where missing, got inf.")
        if len(names) != markers.shape[1] or len(set(names)) < len(names):
            raise ObservationError(
                f"{self.source}: the {markers.shape[1]} markers need as many different names, got {names}."
            )
        self._check_times()

    def _check_times(self) -> None:
        if not self.times.isfinite().all():
            raise ObservationError(f"{self.source}: times must be finite, got NaN or infinity.")
        late = (self.times.diff() <= 0).nonzero().flatten()
        if len(late):
            frame = int(late[0]) + 1
            raise ObservationError(
                f"{self.source}: times must increase, got {self.times[frame]:.9g} s in frame {frame} "
                f"after {self.times[frame - 1]:.9g} s."
            )

    @property
    def seen(self) -> Bool[Tensor, "T K"]:
        """Which markers were seen in which frame."""
        return ~self.markers.isnan().any(-1)

    def window(self, first: int, last: int) -> Recording:
        """The frames from `first` on and before `last`, counted from 0; times are kept."""
        if not 0 <= first < last <= len(self.times):
            raise ObservationError(
                f"{self.source}: a window must hold frames of 0 <= first < last <= {len(self.times)}, "
                f"got first={first} and last={last}."
            )
        return Recording(self.times[first:last], self.markers[first:last], self.names, self.source)

    def between(self, start: float, end: float) -> Recording:
        """The frames with start <= time < end [s]; times are kept."""
        inside = ((self.times >= start) & (self.times < end)).nonzero().flatten()
        if not len(inside):
            raise ObservationError(
                f"{self.source}: no frame lies in {start} <= time < {end} s; "
                f"they lie between {self.times[0]:.6g} and {self.times[-1]:.6g} s."
            )
        return self.window(int(inside[0]), int(inside[-1]) + 1)

    def __repr__(self) -> str:
        missing = int((~self.seen).sum())
        return (
            f"Recording({self.source}: {len(self.names)} markers in {len(self.times)} frames, "
            f"{self.times[0]:.6g} to {self.times[-1]:.6g} s, {missing} samples missing)"
        )


def read_recording(
    path: str | os.PathLike[str],
    *,
    unit: str | None = None,
    frame_rate: float | None = None,
    markers: Sequence[str] | None = None,
) -> Recording:
    """A recording from a CSV or C3D file.

    CSV: a header, then one line a frame, with commas. Columns are a time (`time_s`, `t`, `time_ms`), and
    `NAME_x`, `NAME_y`, `NAME_z` for each marker, with its unit if it has one (`NAME_x_mm`); others are left
    unread. Empty cells and nan are missing samples. C3D needs `pip install 'simlayer[c3d]'`.

    Args:
        path: the file, .csv or .c3d.
        unit: of the positions: m, cm or mm. By default what the file says, or m if it does not; one that
            contradicts the file is an error.
        frame_rate: frames per second [Hz]. Only where the file has no times.
        markers: the names of those to read, in this order; by default all.

    Raises:
        ObservationError: a file that is missing, empty, cut short or not what it says; no markers, one
            without all of x, y and z, one that is never seen; cells that are not numbers; times that do not
            increase; unknown units and names; the extra for C3D not installed.
    """
    path = Path(path)
    _check_path(path)
    contents = READERS[path.suffix.lower()](path, [markers] if isinstance(markers, str) else markers)
    if not len(contents.positions):
        raise ObservationError(f"{path} has no frames.")
    positions = torch.from_numpy(contents.positions * _length(contents, unit, path))
    recording = Recording(_times(contents, frame_rate, path), positions, contents.names, str(path))
    seen = zip(recording.names, recording.seen.any(0).tolist(), strict=True)
    if unseen := [name for name, ever in seen if not ever]:
        raise ObservationError(
            f"{path}: never seen: {', '.join(unseen)}. Name the other markers in markers=, to leave them out."
        )
    return recording


def _length(contents: Contents, unit: str | None, path: Path) -> float:
    """The unit of the positions [m]."""
    stated = contents.unit and contents.unit.lower()
    for name in (stated, unit):
        if name is not None and name not in LENGTHS:
            raise ObservationError(f"{path}: unit must be one of {', '.join(LENGTHS)}, got {name!r}.")
    if stated and unit and stated != unit:
        raise ObservationError(f"{path} states its positions in {stated}; unit={unit!r} contradicts it.")
    return LENGTHS[stated or unit or "m"]


def _times(contents: Contents, frame_rate: float | None, path: Path) -> Float[Tensor, "T"]:
    if contents.times is None and frame_rate is None:
        raise ObservationError(f"{path} has no times: give frame_rate= [Hz].")
    if frame_rate is None:
        return torch.as_tensor(contents.times)
    if contents.times is not None:
        raise ObservationError(f"{path} has times of its own; leave out frame_rate={frame_rate}.")
    if not 0 < frame_rate < float("inf"):
        raise ObservationError(f"frame_rate must be positive and finite [Hz], got {frame_rate}.")
    return torch.arange(len(contents.positions), dtype=torch.float64) / frame_rate


def _check_path(path: Path) -> None:
    if path.is_dir():
        raise ObservationError(f"{path} is a folder; give the recording in it.")
    if not path.exists():
        raise ObservationError(f"{path} does not exist (looked from {Path.cwd()}).")
    if path.suffix.lower() not in READERS:
        raise ObservationError(f"{path}: a recording must be a {' or '.join(READERS)} file.")
    if path.stat().st_size == 0:
        raise ObservationError(f"{path} is empty (0 bytes).")
