"""The paths of markers on a body: recorded by motion capture, or those of a twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor, nn

from simlayer.app.data import Data
from simlayer.app.plots import path_picture
from simlayer.errors import ObservationError
from simlayer.identification.sensors import Markers
from simlayer.mesh.mesh import Mesh
from simlayer.motion_capture.recording import Recording, read_recording
from simlayer.motion_capture.registration import register

Point = Sequence[float]


class MarkerPaths(Data):
    """Markers fixed to a body, seen in many frames.

    Args:
        points: where markers are fixed to the body at rest [m], by name.
        standoffs: from there to the marker itself [m], for rigid stand-offs; by name, all or none.
        frame_rate: of a twin [Hz], and of a recording without times.
        unit: of a recording; by default what its file says.
        window: first frame to use, and the first one after; by default all.
        settled: for a body at rest: the mean of all frames used, compared with the end of the simulation.
        registration: for a recording in the cameras' frame: `reference`, positions of markers on the body at
            rest by name [m], at least three, and `held`, the first frame in which the body is held and the
            first one after. By default the recording is in the body's frame.
        options: as for `Data`.
    """

    def __init__(
        self,
        *,
        points: Mapping[str, Point],
        standoffs: Mapping[str, Point] | None = None,
        frame_rate: float | None = None,
        unit: str | None = None,
        window: Sequence[int] | None = None,
        settled: bool = False,
        registration: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not points:
            raise ObservationError("data.points must name one marker at least.")
        if standoffs and standoffs.keys() != points.keys():
            raise ObservationError(
                f"data.standoffs must name the same markers as data.points, {list(points)}, got "
                f"{list(standoffs)}."
            )
        if self.path is None and not settled and not (frame_rate and frame_rate > 0):
            raise ObservationError(f"data.frame_rate [Hz] must be given for a twin, got {frame_rate}.")
        self.names = tuple(points)
        self.points = _tensor(points)
        self.standoffs = _tensor({name: standoffs[name] for name in points}) if standoffs else None
        self.frame_rate, self.unit, self.window, self.settled = frame_rate, unit, window, settled
        self.registration = registration
        given = set(registration or ())
        if registration is not None and given != {"reference", "held"}:
            raise ObservationError(f"data.registration needs reference and held, got {sorted(given)}.")
        if registration is not None and (missing := set(points) - set(registration["reference"])):
            raise ObservationError(
                f"data.registration.reference must have a position for {sorted(missing)[0]!r}, as for every "
                "marker in data.points."
            )

    def sensors(self, mesh: Mesh) -> nn.Module:
        return Markers(mesh, self.points, standoffs=self.standoffs)

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

    def recorded(self, mesh: Mesh) -> Float[Tensor, "T K 3"]:
        markers = self._recording.markers
        return markers.nanmean(0, keepdim=True) if self.settled else markers

    @cached_property
    def _recording(self) -> Recording:
        """The markers named in `points`, in the body's frame, within the window."""
        assert self.path is not None
        wanted = [*dict.fromkeys([*self.names, *(self.registration or {}).get("reference", ())])]
        recording = read_recording(self.path, unit=self.unit, frame_rate=self.frame_rate, markers=wanted)
        if self.registration is not None:
            recording = self._registered(recording, self.registration)
        recording = _only(recording, self.names)
        return recording.window(*self.window) if self.window is not None else recording

    def _registered(self, recording: Recording, options: Mapping[str, Any]) -> Recording:
        reference = options["reference"]
        recording = _only(recording, tuple(reference))
        registration = register(recording, _tensor(reference), held=tuple(options["held"]))
        print(
            f"Registered: {1e3 * registration.rms:.2f} mm rms between {len(reference)} markers and their "
            f"reference, held still to {1e3 * registration.stillness:.3f} mm"
        )
        moved = registration.in_frame(recording)
        # What is compared are displacements, so the reference must be where the simulated markers start.
        start = dict(
            zip(self.names, self.points + (0 if self.standoffs is None else self.standoffs), strict=True)
        )
        shift = torch.stack(
            [start.get(name, torch.tensor(place)) - torch.tensor(place) for name, place in reference.items()]
        )
        return Recording(moved.times, moved.markers + shift, moved.names, moved.source)

    def picture(
        self, mesh: Mesh, times: Tensor, seen: Float[Tensor, "T K 3"], simulated: Mapping[str, Tensor]
    ) -> Figure:
        rest = self.sensors(mesh)(mesh.vertices)
        paths = {title: points.cpu() - rest for title, points in simulated.items()}
        return path_picture(times.cpu(), seen.cpu() - rest, paths, self.names)


def _tensor(points: Mapping[str, Point]) -> Float[Tensor, "K 3"]:
    for name, point in points.items():
        if len(point) != 3:
            raise ObservationError(f"marker {name!r} must have three coordinates, got {list(point)}.")
    return torch.tensor([[float(x) for x in point] for point in points.values()])


def _only(recording: Recording, names: tuple[str, ...]) -> Recording:
    chosen = [recording.names.index(name) for name in names]
    return Recording(recording.times, recording.markers[:, chosen], names, recording.source)
