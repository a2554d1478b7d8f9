"""The job of training a network, which has no values to find but a loss to bring down."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer
from omegaconf import DictConfig

from simlayer.app.job import Job
from simlayer.app.loggers import WandbReport
from simlayer.app.progress import FitProgress
from simlayer.app.results import write_results
from simlayer.errors import ConfigError
from simlayer.learning.learning_curve import LearningCurve
from simlayer.plotting import convergence_picture

# What a task without observations does not read.
FIT_KEYS = (
    *("data", "observation", "loss", "priors", "trainable", "fields", "takes", "holdout", "coarse"),
    *("initial.guess", "check_gradients"),
)


class NetworkReport(WandbReport):
    """Logs the measures of a trained network, and the pictures of its run."""

    pictures: ClassVar[Mapping[str, str]] = {"what was learned": "learned.png"}

    def summary(self, results: Mapping[str, Any]) -> dict[str, Any]:
        return {
            f"{key}/{title}": row[key]
            for title, row in results["measures"].items()
            for key in ("initial", "found")
        }


class NetworkProgress(FitProgress):
    """Shows the loss and the metrics of a network."""

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A loss of a network that has learned nothing tells nothing of the scene."""
        self._end_wait()


class NetworkJob(Job):
    """Trains a network, and writes its weights, its learning curve, and what it does.

    Args:
        config: the composed configuration.
        model: logs `loss`, and each of the metrics, in validation.
        metrics: what is shown beside the loss: the unit of each by its name.
    """

    def __init__(self, config: DictConfig, model: LightningModule, metrics: Mapping[str, str]) -> None:
        self.config, self.model, self.metrics = config, model, dict(metrics)
        self.history = LearningCurve(*metrics)
        self.report = NetworkReport()
        self.progress = NetworkProgress(self.history)
        with torch.no_grad():
            self._before = self.tried()

    @abstractmethod
    def tried(self) -> dict[str, tuple[float, str]]:
        """Return what the network reaches on samples that choose nothing: a number and its unit, by title."""

    @abstractmethod
    def write_motion(self, folder: Path) -> None:
        """Draw and write what the trained network does, `learned.png` and the motion."""

    def check_gradients(self) -> None:
        raise ConfigError("check_gradients compares the unknowns of a fit; leave it out with this task.")

    def results(self, *, ended: str, seconds: float) -> dict[str, Any]:
        rows = self.history.rows
        with torch.no_grad():
            tried = self.tried()
        measures = {
            title: {"initial": self._before[title][0], "found": number, "unit": unit}
            for title, (number, unit) in tried.items()
        }
        losses = {"initial": rows[0]["loss"], "found": self.history.best_loss}
        fit = {"epochs": len(rows) - 1, "ended": ended, "seconds": round(seconds, 1)}
        return {"parameters": {}, "measures": measures, "loss": losses, **fit}

    @torch.no_grad()
    def write(self, folder: Path, results: Mapping[str, Any]) -> dict[str, Any]:
        write_results(folder, results)
        torch.save(self.model.state_dict(), folder / "weights.pt")
        losses = [row["loss"] for row in self.history.rows]
        series = {name.replace("_", " "): self.history.series(name) for name in self.metrics}
        units = {name.replace("_", " "): unit for name, unit in self.metrics.items()}
        convergence_picture(losses, series, units=units).savefig(folder / "convergence.png", dpi=150)
        self.write_motion(folder)
        return dict(results)

    def table(self, results: Mapping[str, Any]) -> str:
        lines = []
        for title, row in results["measures"].items():
            unit = f" {row['unit']}" if row["unit"] else ""
            lines.append(f"{title}: {row['initial']:.3g}{unit} -> {row['found']:.3g}{unit}")
        return "\n".join(lines)
