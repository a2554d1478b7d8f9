"""The paths of markers on a body as observations: recorded by motion capture, or those of a twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor, nn

from simlayer.app.data import Data
from simlayer.errors import ObservationError
from simlayer.identification.sensors import Markers
from simlayer.mesh.mesh import Mesh
from simlayer.motion_capture.reading import read_recording
from simlayer.motion_capture.recording import Recording
from simlayer.motion_capture.registration import register
from simlayer.plotting import marker_picture, trace_picture

Point = Sequence[float]


@dataclass(kw_only=True, eq=False)
class MarkerPaths(Data):
    """Markers fixed to a body, observed in many frames.

    Args:
        points: where markers are fixed to the body at rest [m], by name.
        standoffs: from there to the marker itself [m], for rigid stand-offs; by name, all or none.
        labels: the names of markers in the file, by the names here, where they differ.
        frame_rate: frames per second [Hz] of a twin, or of a recording without times.
        unit: unit of a recording; by default what its file says.
        window: the first frame to use, and the first frame after; by default all.
        settled: whether the body is at rest, so that its mean position is compared with the simulation's end.
        registration: for a recording in the cameras' frame: `reference`, positions of markers on the body at
            rest by name [m], at least three, and `held`, the first frame in which the body is held still and
            the first frame after. By default the recording is in the body's frame.
    """

    points: Mapping[str, Point]
    standoffs: Mapping[str, Point] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    frame_rate: float | None = None
    unit: str | None = None
    window: Sequence[int] | None = None
    settled: bool = False
    registration: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.points:
            raise ObservationError("data.points must name at least one marker.")
        if self.standoffs and self.standoffs.keys() != self.points.keys():
            raise ObservationError(
                f"data.standoffs must name the same markers as data.points, {list(self.points)}, got "
                f"{list(self.standoffs)}."
            )
        if self.path is None and not self.settled and not (self.frame_rate and self.frame_rate > 0):
            raise ObservationError(f"data.frame_rate [Hz] must be given for a twin, got {self.frame_rate}.")
        self._bases = _tensor(self.points)
        self._arms = _tensor({name: self.standoffs[name] for name in self.points}) if self.standoffs else None
        if self.registration is not None:
            self._check_registration(self.registration)

    def _check_registration(self, registration: Mapping[str, Any]) -> None:
        if set(registration) != {"reference", "held"}:
            raise ObservationError(f"data.registration needs reference and held, got {sorted(registration)}.")
        if missing := set(self.points) - set(registration["reference"]):
            raise ObservationError(
                f"data.registration.reference must have a position for {sorted(missing)[0]!r}, as for every "
                "marker in data.points."
            )

    def sensors(self, mesh: Mesh) -> nn.Module:
        return Markers(mesh, self._bases, standoffs=self._arms)

    def times(self, duration: Callable[[], float], release_time: float) -> Float[Tensor, "T"]:
        if self.settled:
            return torch.tensor([release_time + duration()], dtype=torch.float64)
        if self.path is not None:
            return self._recording.times
        assert self.frame_rate is not None
        count = int(duration() * self.frame_rate * (1 + 1e-9))
        if not count:
            raise ObservationError(
                f"at {self.frame_rate} Hz there is no frame within duration = {duration()} s."
            )
        return release_time + torch.arange(1, count + 1, dtype=torch.float64) / self.frame_rate

    @property
    def default_release(self) -> float:
        return 0.0 if self.path is None or self.settled else float(self._recording.times[0])

    def recorded(self, mesh: Mesh) -> Float[Tensor, "T K 3"]:
        markers = self._recording.markers
        return markers.nanmean(0, keepdim=True) if self.settled else markers

    @cached_property
    def _recording(self) -> Recording:
        """The markers named in `points`, in the body's frame, within the window."""
        assert self.path is not None
        reference = self.registration["reference"] if self.registration else {}
        wanted = list(dict.fromkeys([*self.points, *reference]))
        recording = read_recording(
            self.path, unit=self.unit, frame_rate=self.frame_rate, markers=wanted, labels=self.labels
        )
        if self.registration is not None:
            recording = self._registered(recording, self.registration)
        recording = _subset(recording, tuple(self.points))
        return recording.window(*self.window) if self.window is not None else recording

    def _registered(self, recording: Recording, options: Mapping[str, Any]) -> Recording:
        """Return the recording in the body's frame, starting where the simulated markers start."""
        reference = options["reference"]
        recording = _subset(recording, tuple(reference))
        registration = register(recording, _tensor(reference), held=tuple(options["held"]))
        print(
            f"Registered: {1e3 * registration.rms:.2f} mm rms between {len(reference)} markers and their "
            f"reference, held still to {1e3 * registration.stillness:.3f} mm"
        )
        moved = registration.in_frame(recording)
        starts = self._bases + (0 if self._arms is None else self._arms)
        start = dict(zip(self.points, starts, strict=True))
        shifts = [start.get(name, torch.tensor(x)) - torch.tensor(x) for name, x in reference.items()]
        return Recording(moved.times, moved.markers + torch.stack(shifts), moved.names, moved.source)

    def picture(
        self,
        mesh: Mesh,
        times: Tensor,
        observed: Float[Tensor, "T K 3"],
        simulated: Mapping[str, Tensor],
        **beside: Any,
    ) -> Figure:
        rest, names = self.sensors(mesh)(mesh.vertices), tuple(self.points)
        seen = observed.cpu() - rest
        paths = {title: points.cpu() - rest for title, points in simulated.items()}
        if len(times) > 1:
            return trace_picture(times, seen, paths, names)
        ends = {title: path[0] for title, path in paths.items()}
        return marker_picture(mesh, rest, seen[0], ends, names, **beside)


def _tensor(points: Mapping[str, Point]) -> Float[Tensor, "K 3"]:
    for name, point in points.items():
        if len(point) != 3:
            raise ObservationError(f"marker {name!r} must have three coordinates, got {list(point)}.")
    return torch.tensor([[float(x) for x in point] for point in points.values()])


def _subset(recording: Recording, names: tuple[str, ...]) -> Recording:
    """Return the recording of these markers only, in this order."""
    indices = [recording.names.index(name) for name in names]
    return Recording(recording.times, recording.markers[:, indices], names, recording.source)
