"""Several recordings of the same motion of one body, each with a release time of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.errors import ObservationError
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.unknowns import Unknown
from simlayer.quantities.arguments import checked_parts
from simlayer.quantities.arrays import checked_floats, described
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State


class ObservedTakes(nn.Module):
    """Simulates a body once, and returns what is observed of it in several takes.

    Takes share the rollout, and differ in their times, sensors and releases: `release_time` of a take is the
    quantity `<name>.release_time`. Scenes are one per take. Takes with fewer frames are preceded by frames of
    zeros, see `padded`.

    Args:
        takes: by name, without dots.

    Raises:
        TypeError, ValueError: if `takes` does not map names to `ObservedRollout`s.
        ObservationError: if there is none, or they do not share a rollout.
    """

    def __init__(self, takes: Mapping[str, ObservedRollout]) -> None:
        super().__init__()
        takes = checked_parts("takes", takes, ObservedRollout, "ObservedRollout(...)")
        if not takes:
            raise ObservationError("takes must hold at least one ObservedRollout, got none.")
        first, *others = takes.values()
        if any(take.rollout is not first.rollout or take.initial is not first.initial for take in others):
            raise ObservationError("takes must share one rollout, and one InitialState if they have any.")
        self.takes = nn.ModuleList(takes.values())
        self.names = tuple(takes)
        self.every = math.gcd(*(take.every for take in takes.values()))

    def forward(self, state: State) -> Float[Tensor, "B T K 3"]:
        """Return the points observed in each take; bodies start in one state, or each in its own."""
        return self.observe(self.motion(state))

    def motion(self, state: State) -> State:
        """Return the frames of the rollout, `(F, B, N, 3)` each, or `(F, 1, N, 3)` if all start alike."""
        return self.to_horizon().trajectory(self.start(state), every=self.every)

    def start(self, state: State) -> State:
        """Return the initial states of the rollout, given the known ones; one if all start alike."""
        first = self._list()[0]
        first.rollout.step.check_state(state)
        if state.positions.ndim != 3 or len(state.positions) != len(self.takes):
            raise ObservationError(
                f"state must be of {len(self.takes)} scenes, one per take, (B, N, 3), got positions "
                f"{tuple(state.positions.shape)}."
            )
        one = all(torch.equal(part, part[:1].expand_as(part)) for part in state[:2])
        return first.start(State(state.positions[:1], state.velocities[:1]) if one else state)

    def to_horizon(self) -> RolloutModule:
        """Return the rollout that all takes share."""
        return self._list()[0].rollout

    def observe(self, motion: State) -> Float[Tensor, "B T K 3"]:
        """Return the points observed in each take of a motion, or of its own."""
        points = []
        for k, take in enumerate(self._list()):
            sample = [0 if motion.positions.shape[1] == 1 else k]
            own = State(motion.positions[:, sample], motion.velocities[:, sample])
            points.append(take.observe(own, every=self.every)[0])
        return torch.stack([self.padded(part, 0.0) for part in points])

    def padded(self, points: Float[Tensor, "_ K 3"], value: float) -> Float[Tensor, "T K 3"]:
        """Return the points of a take, preceded by frames that make it as long as the longest take."""
        longest = max(len(take.times) for take in self._list())
        if checked_floats("points", points).ndim != 3 or len(points) > longest:
            raise ObservationError(
                f"points must be those of one take, (T, K, 3), of at most {longest} frames, got "
                f"{described(points)}."
            )
        missing = longest - len(points)
        return torch.cat([points.new_full((missing, *points.shape[1:]), value), points])

    def check_end(self) -> None:
        """Raise ObservationError if the rollout ends before the last observation of any take."""
        for take in self._list():
            take.check_end()

    def quantities_by_name(self) -> dict[str, Unknown]:
        """Return everything that can be identified, by physical name."""
        found = self._list()[0].quantities_by_name()
        del found["release_time"]
        for name, take in zip(self.names, self._list(), strict=True):
            own = take.quantities_by_name()["release_time"]
            found[f"{name}.release_time"] = Unknown(f"{name}.release_time", take, own.quantity)
        return found

    def _list(self) -> list[ObservedRollout]:
        return list(self.takes)  # type: ignore[arg-type]
