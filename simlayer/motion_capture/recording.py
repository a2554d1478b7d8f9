"""Recordings of motion capture: positions of markers on a body over time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simlayer.errors import ObservationError
from simlayer.quantities.arguments import checked_integer, checked_number
from simlayer.quantities.arrays import checked_numbers
from simlayer.quantities.objects import checked_names, checked_text


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """Positions of K markers in T frames, in one fixed frame of reference, as plain data.

    A marker is NaN in a frame in the coordinates that were not observed: all three in a gap, one in a film
    of a single camera. Times are in double precision, because single precision cannot distinguish the frames
    of a long recording.

    Args:
        times: when each frame was taken [s], increasing.
        markers: positions [m], in torch's default dtype.
        names: names of the markers, in their order; where it is empty, marker0, marker1, ...
        source: where the recording comes from, for messages.

    Raises:
        ObservationError: shapes that do not match, no frames or no markers, times that do not increase,
            infinite positions, or names that are too few or not unique.
    """

    times: Float[Tensor, "T"]
    markers: Float[Tensor, "T K 3"]
    names: tuple[str, ...] = ()
    source: str = "recording"

    def __post_init__(self) -> None:
        checked_text("source", self.source)
        try:
            for name in ("times", "markers"):
                object.__setattr__(self, name, checked_numbers(name, getattr(self, name)))
            names = checked_names("names", self.names, ordered=True)
        except ValueError as error:
            raise ObservationError(f"{self.source}: {error}") from None
        if self.times.ndim != 1 or self.markers.shape != (len(self.times), *self.markers.shape[1:2], 3):
            raise ObservationError(
                f"{self.source}: times and markers must be of shape (T,) and (T, K, 3), got "
                f"{tuple(self.times.shape)} and {tuple(self.markers.shape)}."
            )
        markers = self.markers.to(torch.get_default_dtype())
        object.__setattr__(self, "markers", markers)
        names = names or tuple(f"marker{k}" for k in range(markers.shape[1]))
        object.__setattr__(self, "names", names)
        if self.markers.isinf().any():
            raise ObservationError(f"{self.source}: markers must be finite, or NaN where missing, got inf.")
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
    def observed(self) -> Bool[Tensor, "T K"]:
        """Whether each marker was observed in each frame, in at least one coordinate."""
        return ~self.markers.isnan().all(-1)

    def window(self, first: int, last: int) -> Recording:
        """Return the frames `first` to `last - 1`, counted from 0; times are kept."""
        first, last = checked_integer("first", first), checked_integer("last", last)
        if not 0 <= first < last <= len(self.times):
            raise ObservationError(
                f"{self.source}: the frames of a window must satisfy 0 <= first < last <= {len(self.times)}, "
                f"got first={first} and last={last}."
            )
        return Recording(self.times[first:last], self.markers[first:last], self.names, self.source)

    def between(self, start: float, end: float) -> Recording:
        """Return the frames with start <= time < end [s]; times are kept."""
        start, end = checked_number("start", start, unit="s"), checked_number("end", end, unit="s")
        inside = ((self.times >= start) & (self.times < end)).nonzero().flatten()
        if not len(inside):
            raise ObservationError(
                f"{self.source}: no frame lies between start = {start:g} s and end = {end:g} s; "
                f"they lie between {self.times[0]:.6g} and {self.times[-1]:.6g} s."
            )
        return self.window(int(inside[0]), int(inside[-1]) + 1)

    def __repr__(self) -> str:
        missing = int((~self.observed).sum())
        partly = int((self.observed & self.markers.isnan().any(-1)).sum())
        return (
            f"Recording({self.source}: {len(self.names)} markers in {len(self.times)} frames, "
            f"{self.times[0]:.6g} to {self.times[-1]:.6g} s, {missing} samples missing"
            f"{f', {partly} in part' if partly else ''})"
        )
