"""The job of training a network that identifies bodies which it has never seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from omegaconf import DictConfig
from torch import Tensor
from torch.utils.data import DataLoader

from simlayer.app.config_tree import build, flatten
from simlayer.app.data import Data
from simlayer.app.network_job import NetworkJob
from simlayer.app.scene import build_scene
from simlayer.errors import ConfigError
from simlayer.identification.amortized import AmortizedIdentification
from simlayer.identification.predicted_specimens import (
    specimen_unknowns,
    values_by_name,
)
from simlayer.identification.unknowns import short_names
from simlayer.plotting import prediction_picture
from simlayer.state import State

T = TypeVar("T")

# Added to the seed of a run, so that no body that it is tried on is one to learn from, however often these
# are drawn anew.
UNSEEN = 2_000_003


class AmortizedJob(NetworkJob):
    """Trains a network to identify bodies from recordings, on bodies that are simulated.

    Args:
        config: the composed configuration; `data` says what is recorded, and with what noise and gaps.
        prior: the lowest and the highest value [SI] of each quantity by name.
        bodies, held_out, redraw_every, batch_size: as for `AmortizedIdentification`.
        unseen: how many more bodies are identified at the end.
        steps: of Gauss-Newton, which refine what the network predicts of these.
    """

    unread: ClassVar[tuple[str, ...]] = (
        *("loss", "priors", "trainable", "fields", "takes", "holdout", "coarse", "check_gradients"),
        *("data.path", "data.twin", "data.truth", "data.window", "data.registration", "data.seed"),
    )

    def __init__(
        self,
        config: DictConfig,
        *,
        prior: Mapping[str, Any],
        bodies: int,
        held_out: int,
        redraw_every: int | None,
        batch_size: int,
        unseen: int,
        steps: int,
    ) -> None:
        data: Data = build(config.data)
        if data.path is not None:
            raise ConfigError("data.path must be null with task=amortized, which simulates its recordings.")
        self._scene = scene = build_scene(config, build(config.mesh), data)
        known = scene.observed.start(scene.start)
        if len(known.positions) != 1:
            raise ConfigError("initial.known must be one state with task=amortized, got several scenes.")
        self._steps = steps
        self._network = AmortizedIdentification(
            scene.observed,
            State(known.positions[0].detach(), known.velocities[0].detach()),
            prior=flatten(prior),
            noise=data.noise,
            missing=data.missing,
            bodies=bodies,
            held_out=held_out,
            redraw_every=redraw_every,
            batch_size=batch_size,
            optimizer=build(config.optimizer) or None,
            scheduler=build(config.scheduler) or None,
            seed=config.seed,
        )
        metrics = {f"median_error/{label}": "" for label in self._network.prior.labels}
        self._truth, self._recordings = self._network.draw(unseen, seed=config.seed + UNSEEN)
        super().__init__(config, self._network, {**metrics, "coverage/1_sd": ""})

    def loaders(self) -> tuple[DataLoader[Any] | None, DataLoader[Any] | None]:
        return None, None  # the module's own

    def description(self, *, given: Collection[str]) -> list[tuple[str, str]]:
        rollout, network = self._scene.rollout, self._network
        count, dt = rollout.num_steps, rollout.step.dt
        short = short_names(network.prior.unknowns)
        ranges = ", ".join(
            f"{short[unknown.name]} from {low:g} to {high:g} {unknown.unit}"
            for unknown, (low, high) in zip(
                network.prior.unknowns, network.prior.ranges.values(), strict=True
            )
        )
        frames, points = len(self._scene.observed.times), len(network.network.middle[0])
        return [
            ("Body", str(self._scene.mesh)),
            ("Time", f"{count} steps of {dt:.2g} s, {count * dt:.3g} s in total"),
            ("Bodies", f"{network.bodies} simulated, {network.held_out} held out, with {ranges}"),
            ("Recorded", f"{frames} frames of {points} points"),
        ]

    def tried(self) -> dict[str, tuple[float, str]]:
        prior = self._network.prior
        if self.history.rows:
            values = self._network.predict(self._recordings).values
        else:  # what is known before anything is learned
            middle = prior.middle().expand(len(self._recordings), -1)
            values = values_by_name(specimen_unknowns(prior.unknowns, middle))
        return self._median_errors(values)

    def results(self, *, ended: str, seconds: float) -> dict[str, Any]:
        """Return the results, with what a few steps of Gauss-Newton make of unseen bodies."""
        results = super().results(ended=ended, seconds=seconds)
        _, predicting = _timed(lambda: self._network.predict(self._recordings))
        refined, refining = _timed(lambda: self._network.refine(self._recordings, steps=self._steps))
        for title, (number, _) in self._median_errors(refined.values).items():
            results["measures"][title]["refined"] = number
        each = {"predicted": predicting, "refined": refining}
        count = len(self._recordings)
        per_body = {way: seconds / count for way, seconds in each.items()}
        return {**results, "steps": self._steps, "seconds_per_body": per_body}

    def table(self, results: Mapping[str, Any]) -> str:
        lines = [super().table(results)]
        for title, row in results["measures"].items():
            lines.append(f"{title}, after {results['steps']} steps of Gauss-Newton: {row['refined']:.3g}")
        each = results["seconds_per_body"]
        times = ", ".join(f"{1e3 * seconds:.2g} ms {way}" for way, seconds in each.items())
        lines.append(f"Time per body: {times}")
        return "\n".join(lines)

    def _median_errors(self, values: Mapping[str, Tensor]) -> dict[str, tuple[float, str]]:
        errors = self._network.prior.median_errors(values, self._truth)
        return {
            f"median error of {name.partition('/')[2]} of unseen bodies": (float(error), "")
            for name, error in errors.items()
        }

    def write_motion(self, folder: Path) -> None:
        """Draw what the network predicts of unseen bodies over the truth."""
        prior = self._network.prior
        units = [unknown.unit for unknown in prior.unknowns for _ in range(unknown.parameter.numel())]
        predicted = self._network.predict(self._recordings)
        parts = (self._truth, predicted.values, predicted.standard_errors)
        named = [
            {label: part[name] for name, label in zip(self._truth, prior.labels, strict=True)}
            for part in parts
        ]
        figure = prediction_picture(*named, units=dict(zip(prior.labels, units, strict=True)))
        figure.savefig(folder / "learned.png", dpi=150)


def _timed(function: Callable[[], T]) -> tuple[T, float]:
    """Return what a function returns, and how long it took [s]."""
    began = time.perf_counter()
    return function(), time.perf_counter() - began
