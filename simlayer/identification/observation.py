"""A rollout as it is seen: by sensors, at given times, from an initial state that may be unknown."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.errors import ObservationError
from simlayer.identification.initial_state import InitialState
from simlayer.identification.unknowns import Unknown, quantities_of
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import Quantity
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State


class ObservedRollout(PhysicalModule):
    """Simulates, and returns the points that sensors see at given times.

    Between the frames of a rollout, positions follow the cubic that has the frames' positions and
    velocities (Hermite), so that times need not be whole steps, and have gradients themselves.

    Args:
        rollout: the simulation.
        sensors: maps positions `(*batch, N, 3)` to the points seen `(*batch, K, 3)`.
        times: of what was seen, by the clock of whoever saw it, increasing, `(T,)` [s].
        initial: what is added to the known initial state.
        release_time: when the rollout starts by that clock [s]. Before it the body rests in its initial
            positions. It can be identified like any quantity.
        frames: at least this many frames of the rollout fall between two times seen.

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
        release_time: float = 0.0,
        frames: int = 4,
    ) -> None:
        super().__init__()
        if not len(times) or not bool((times.diff() > 0).all()):
            raise ObservationError(f"times must increase, and there must be one at least; got {times}.")
        if frames < 1:
            raise ObservationError(f"frames must be at least 1, got {frames}.")
        self.rollout, self.sensors, self.initial = rollout, sensors, initial
        self.release_time = release_time
        # Relative to the first: single precision does not tell apart the frames of a clock that runs long.
        self.first = float(times[0])
        relative = (times.double() - self.first).to(torch.get_default_dtype())
        self.register_buffer("since_first", relative, persistent=False)
        self.check_end()
        self.every = _frame_steps(rollout, relative, frames, left=self._left())

    def forward(self, known: State) -> Float[Tensor, "*batch T K 3"]:
        """The points seen when the body starts from this state (and what the initial state adds).

        After the end of the rollout they stay where they are; see `check_end`.
        """
        return self.seen(self.motion(known))

    def motion(self, known: State) -> State:
        """The frames of the rollout, `(F, *batch, N, 3)` each."""
        return self.rollout.trajectory(self.start(known), every=self.every)

    def seen(self, motion: State) -> Float[Tensor, "*batch T K 3"]:
        """The points seen of a motion, released when it is now."""
        interval = self.every * self.rollout.step.dt
        positions = interpolated(motion, interval, self.since_first + (self.first - self.release_time))
        return self.sensors(positions).movedim(0, -3)

    @property
    def times(self) -> Float[Tensor, "T"]:
        """When the points are seen, by the clock of whoever saw them [s]."""
        return self.since_first.double() + self.first

    def _left(self) -> float:
        """How much longer the rollout lasts than is seen [s]."""
        last = float(self.times[-1]) - float(self.release_time.detach())
        return self.rollout.num_steps * self.rollout.step.dt - last

    def check_end(self) -> None:
        """Raise ObservationError if the rollout ends before the last time, as when the release moved."""
        left, end = self._left(), self.rollout.num_steps * self.rollout.step.dt
        if left < -1e-6 * end:
            steps = int((end - left) / self.rollout.step.dt) + 1
            raise ObservationError(
                f"the last time seen is {end - left:g} s after the release, but the rollout ends at "
                f"{end:g} s: simulate {steps} steps (observation.margin makes room for a release that moves) "
                "or leave out what was seen later."
            )

    def start(self, known: State) -> State:
        return known if self.initial is None else self.initial(known)

    def quantities_by_name(self) -> dict[str, Unknown]:
        """Everything that can be identified, by physical name."""
        roots: dict[str, nn.Module] = {"": self.rollout.step}
        if self.initial is not None:
            roots["initial"] = self.initial
        name = "release_time"
        return quantities_of(roots) | {name: Unknown(name, self, self.quantities()[name])}


def most_frame_steps(times: Float[Tensor, "T"], dt: float, frames: int, *, left: float) -> float:
    """How many steps may lie between two frames, for `frames` of them between two times seen.

    A single time at the end of the rollout needs no other frame; one with time [s] `left` after it does.
    """
    if len(times) > 1:
        left = float(times.diff().min())
    elif left < dt:
        return float("inf")
    return max(left / dt / frames, 1.0)


def _frame_steps(rollout: RolloutModule, times: Tensor, frames: int, *, left: float) -> int:
    """How many steps lie between two frames: a divisor of their number."""
    steps = rollout.num_steps
    most = min(most_frame_steps(times, rollout.step.dt, frames, left=left), float(steps))
    return max(k for k in range(1, int(most) + 1) if steps % k == 0)


def interpolated(frames: State, interval: float, times: Float[Tensor, "T"]) -> Float[Tensor, "T *batch N 3"]:
    """Positions at times [s], from frames `(F, *batch, N, 3)` an interval [s] apart; rest before t = 0."""
    last = len(frames.positions) - 1
    parts = (times / interval).clamp(0, last)
    # A time that is a whole number of intervals must not fall short of it by rounding.
    index = (parts.detach() + 1e-9).floor().long().clamp(max=last - 1)
    s = (parts - index)[(..., *[None] * (frames.positions.ndim - 1))]
    x0, x1 = frames.positions[index], frames.positions[index + 1]
    v0, v1 = interval * frames.velocities[index], interval * frames.velocities[index + 1]
    return x0 + s * s * (3 - 2 * s) * (x1 - x0) + s * (1 - s) * ((1 - s) * v0 - s * v1)
