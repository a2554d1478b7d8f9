"""The job of training gaits: periodic signals that move a body along."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from simlayer.app.config_tree import build
from simlayer.app.controls import control_groups
from simlayer.app.movie import write_motion
from simlayer.app.network_job import FIT_KEYS, NetworkJob
from simlayer.app.scene import build_body
from simlayer.app.surroundings import surroundings
from simlayer.learning.objectives import Travel
from simlayer.learning.signal_training import SignalTraining
from simlayer.mesh.paraview import write_frames
from simlayer.plotting import travel_picture
from simlayer.state import State

# Of a period, in the motion that is written.
FRAMES = 12


class TravelJob(NetworkJob):
    """Trains gaits that move a body as far as possible along a direction, and keeps the best.

    Args:
        config: the composed configuration; its duration is that of a period.
        controls: names of the quantities that a gait sets.
        parts: for some of them, which have a value per cell, into how many parts along x, y and z the body is
            divided, each of which gets a signal of its own.
        direction: along which it shall move.
        knots, candidates, spread, periods, max_norm: as for `SignalTraining`.
        epoch: periods that are trained in an epoch.
    """

    unread = FIT_KEYS

    def __init__(
        self,
        config: DictConfig,
        *,
        controls: Sequence[str],
        parts: Mapping[str, Sequence[int]],
        direction: Sequence[float],
        knots: int,
        candidates: int,
        spread: float,
        periods: int,
        max_norm: float,
        epoch: int,
    ) -> None:
        self.mesh, step, start = build_body(config, "travel")
        self.epoch, self.goal = epoch, Travel(direction)
        self.training = SignalTraining(
            build(config.rollout)(step, math.ceil(config.duration / step.dt)),
            start,
            control_groups(step, self.mesh, controls, parts),
            self.goal,
            knots=knots,
            candidates=candidates,
            spread=spread,
            periods=periods,
            scale=float((self.mesh.bounds[1] - self.mesh.bounds[0]).max()),  # body lengths
            max_norm=max_norm,
            optimizer=build(config.optimizer) or None,
            scheduler=build(config.scheduler) or None,
            seed=config.seed,
        )
        super().__init__(config, self.training, {"objective": "m"})

    def loaders(self) -> tuple[Any, Any]:
        # A training step is a period, of which the data tell nothing.
        steps, once = (TensorDataset(torch.zeros(count, 1)) for count in (self.epoch, 1))
        return DataLoader(steps), DataLoader(once)

    def tried(self) -> dict[str, tuple[float, str]]:
        """Return how far the best gait of the time of validation gets in it, and in twice that time."""
        ways, periods = self.ways(2 * self.training.periods), self.training.periods
        seconds = periods * self._period()
        best = int(ways[periods].argmax())
        return {
            f"way in {seconds:.3g} s": (float(ways[periods, best]), "m"),
            f"way in {2 * seconds:.3g} s": (float(ways[-1, best]), "m"),
        }

    def ways(self, periods: int) -> Float[Tensor, "F B"]:
        """Return how far each body has moved at the start and after every period [m]."""
        along = self.goal.along(self.training.motion(periods).positions)
        return along - along[0]

    def description(self, *, given: Collection[str]) -> list[tuple[str, str]]:
        training, rollout = self.training, self.training.rollout
        knots, candidates, size = training.knots.shape
        return [
            ("Body", str(self.mesh)),
            ("Period", f"{rollout.num_steps} steps of {rollout.step.dt:.2g} s, {self._period():.3g} s"),
            ("Gaits", f"{candidates}, each of {knots} knots of {size} numbers"),
        ]

    def write_motion(self, folder: Path) -> None:
        """Draw how far the gaits get over time, and write the motion of the best."""
        training, rollout = self.training, self.training.rollout
        ways = self.ways(2 * training.periods).cpu()
        best = int(ways[training.periods].argmax())
        travel_picture(torch.arange(len(ways)) * self._period(), ways, best).savefig(
            folder / "learned.png", dpi=150
        )
        # A period is a whole number of frames, so that the next one goes on from the last of them.
        steps = rollout.num_steps
        every = max(k for k in range(1, max(steps // FRAMES, 1) + 1) if steps % k == 0)
        state, frames = training.start(), []
        for _ in range(training.periods):
            motion = rollout.trajectory(state, controls=training.signal(), every=every)
            frames.append(motion.positions[:-1, best])
            history = tuple(past[-1] for past in motion.history)
            state = State(motion.positions[-1], motion.velocities[-1], history)
        positions = torch.cat(frames)
        times = torch.arange(len(positions)) * every * rollout.step.dt
        write_motion(folder, self.mesh, positions, times, **surroundings(rollout.step))
        write_frames(folder / "motion.pvd", self.mesh, positions, times=times)

    def _period(self) -> float:
        """The time of a period [s]."""
        return self.training.rollout.num_steps * self.training.rollout.step.dt
