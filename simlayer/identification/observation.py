"""A rollout and its observation: by sensors, at given times, from an initial state that may be unknown."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.errors import ObservationError
from simlayer.identification.frames import interpolate_frames, max_frame_steps
from simlayer.identification.initial_state import InitialState
from simlayer.identification.unknowns import Unknown, quantities_of
from simlayer.quantities.arguments import checked_integer
from simlayer.quantities.arrays import check_plain, checked_numbers, described
from simlayer.quantities.objects import checked_instance
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import Quantity
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State


class ObservedRollout(PhysicalModule):
    """Simulates, and returns the points that sensors observe at given times.

    Between the frames of a rollout, positions follow the cubic with the frames' positions and velocities
    (Hermite), so that times need not be whole steps, and have gradients themselves.

    Args:
        rollout: the simulation.
        sensors: maps positions `(*batch, N, 3)` to the observed points `(*batch, K, 3)`.
        times: times of the observations by the observer's clock, increasing, `(T,)` [s].
        initial: added to the known initial state.
        release_time: when the rollout starts by that clock [s]; before it the body rests in its initial
            positions. It can be identified like any quantity.
        frames: minimum number of frames of the rollout between two observations.

    Raises:
        ObservationError: if the times do not increase, or the rollout ends before the last.
    """

    release_time = Quantity("s", scale=0.01)
    since_first: Tensor

    def __init__(
        self,
        rollout: RolloutModule,
        sensors: nn.Module,
        times: Float[Tensor, "T"],
        *,
        initial: InitialState | None = None,
        release_time: float | Tensor = 0.0,
        frames: int = 4,
    ) -> None:
        super().__init__()
        checked_instance("rollout", rollout, RolloutModule)
        checked_instance("sensors", sensors, nn.Module, example="Vertices()")
        if initial is not None:
            checked_instance("initial", initial, InitialState)
        times = checked_numbers("times", times)
        if times.ndim != 1 or not bool(times.isfinite().all() & (times.diff() > 0).all()):
            raise ObservationError(
                f"times must be finite and increase, and there must be at least one; got {times}."
            )
        frames = checked_integer("frames", frames, least=1)
        self.rollout, self.sensors, self.initial = rollout, sensors, initial
        self.release_time = release_time
        # Single precision cannot distinguish the frames of a clock that runs long, so times are relative.
        self.first = float(times[0])
        relative = (times - self.first).to(torch.get_default_dtype())
        self.register_buffer("since_first", relative, persistent=False)
        self.horizon = len(times)
        self.check_end()
        most = max_frame_steps(relative, rollout.step.dt, frames, left=self._time_left())
        steps = rollout.num_steps
        self.every = max(k for k in range(1, int(min(most, steps)) + 1) if steps % k == 0)

    def forward(self, state: State) -> Float[Tensor, "*batch T K 3"]:
        """Return the points observed when the body starts in this state, plus what `initial` adds to it.

        After the end of the rollout they stay where they are; see `check_end`.
        """
        return self.observe(self.motion(state))

    def motion(self, state: State) -> State:
        """Return the frames of the rollout, `(F, *batch, N, 3)` each."""
        return self.to_horizon().trajectory(self.start(state), every=self.every)

    @property
    def horizon(self) -> int:
        """How many of the first observations count; later ones are neither simulated nor returned."""
        return self._horizon

    @horizon.setter
    def horizon(self, count: int) -> None:
        self._horizon = checked_integer("horizon", count, least=1, most=len(self.since_first))

    def to_horizon(self) -> RolloutModule:
        """Return the rollout, without the time between the last observation that counts and the last one."""
        later = float(self.since_first[-1] - self.since_first[self.horizon - 1])
        frames = int(later / self.rollout.step.dt) // self.every
        if not frames:
            return self.rollout
        short = copy.copy(self.rollout)
        short.num_steps = max(self.rollout.num_steps - frames * self.every, self.every)
        return short

    def observe(self, motion: State, *, every: int | None = None) -> Float[Tensor, "*batch T K 3"]:
        """Return the points observed of a motion that begins at the release time.

        Args:
            motion: the frames of the rollout, `(F, *batch, N, 3)` each.
            every: the steps from one to the next, by default as in `motion`.
        """
        interval = (self.every if every is None else every) * self.rollout.step.dt
        self._check_release()
        times = self.since_first[: self.horizon] + (self.first - self.release_time.reshape(1))
        positions = interpolate_frames(motion, interval, times)
        return self.seen(positions).movedim(0, -3)

    def seen(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch K 3"]:
        """Return the points that the sensors observe of positions; raises ObservationError if they cannot."""
        try:
            points = self.sensors(positions)
        except ObservationError:
            raise
        except Exception as error:  # whatever a user's own may raise
            raise ObservationError(
                f"sensors ({type(self.sensors).__name__}) cannot observe positions of shape "
                f"{tuple(positions.shape)}: {error}"
            ) from error
        if not isinstance(points, Tensor) or points.ndim != positions.ndim or points.dtype != positions.dtype:
            raise ObservationError(
                f"sensors ({type(self.sensors).__name__}) must return points (*batch, K, 3) for positions "
                f"(*batch, N, 3), {positions.dtype}; for {tuple(positions.shape)} they returned "
                f"{described(points)}."
            )
        if points.shape[:-2] != positions.shape[:-2] or points.shape[-1] != 3:
            raise ObservationError(
                f"sensors ({type(self.sensors).__name__}) must return points (*batch, K, 3) for positions "
                f"{tuple(positions.shape)}, got shape {tuple(points.shape)}."
            )
        check_plain(f"points of sensors ({type(self.sensors).__name__})", points)
        if not bool(points.isfinite().all()):
            raise ObservationError(
                f"sensors ({type(self.sensors).__name__}) must return finite points, got NaN or infinity."
            )
        return points

    @property
    def times(self) -> Float[Tensor, "T"]:
        """The times of the observations by the observer's clock [s]."""
        return self.since_first.double() + self.first

    def _check_release(self) -> None:
        """Raise ObservationError unless there is one release time for all samples."""
        if self.release_time.numel() != 1:
            raise ObservationError(
                f"release_time must be one number [s], got shape {tuple(self.release_time.shape)}."
            )

    def _time_left(self) -> float:
        """Return the time between the last observation and the end of the rollout [s]."""
        self._check_release()
        last = float(self.times[-1]) - float(self.release_time.detach())
        return self.rollout.num_steps * self.rollout.step.dt - last

    def check_end(self) -> None:
        """Raise ObservationError if the rollout ends before the last observation."""
        left, end = self._time_left(), self.rollout.num_steps * self.rollout.step.dt
        if left < -1e-6 * end:
            steps, release = int((end - left) / self.rollout.step.dt) + 1, float(self.release_time.detach())
            raise ObservationError(
                f"the last observation is {end - left:g} s after the release_time of {release:g} s, but "
                f"the rollout ends at {end:g} s: simulate {steps} steps (observation.margin makes room "
                "for a release that moves) or leave out later observations."
            )

    def start(self, state: State) -> State:
        """Return the initial state of the rollout, given the known one."""
        return state if self.initial is None else self.initial(state)

    def quantities_by_name(self) -> dict[str, Unknown]:
        """Return everything that can be identified, by physical name."""
        roots: dict[str, nn.Module] = {"": self.rollout.step}
        if self.initial is not None:
            roots["initial"] = self.initial
        name = "release_time"
        return quantities_of(roots) | {name: Unknown(name, self, self.quantities()[name])}
