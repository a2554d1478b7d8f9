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
from simlayer.app.plots import convergence_picture
from simlayer.app.progress import FitProgress
from simlayer.app.results import write_results
from simlayer.errors import ConfigError
from simlayer.learning.learning_curve import LearningCurve


class NetworkReport(WandbReport):
    """Logs the measures of a trained network, and the pictures of its run."""

    pictures: ClassVar[Mapping[str, str]] = {"what was learned": "learned.png"}

    def fields(self, model: LightningModule) -> dict[str, Any]:
        return {}

    def drawn(self, epoch: int) -> dict[str, Any]:
        return {}

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


class NetworkJob(Job):
    """Trains a network, and writes its weights, its learning curve, and what it does.

    Args:
        config: the composed configuration.
        model: logs `loss`, and each of the measures, in validation.
        measures: the metrics that are told at the end: what each is called, and its unit, by its name.
    """

    def __init__(
        self, config: DictConfig, model: LightningModule, measures: Mapping[str, tuple[str, str]]
    ) -> None:
        self.config, self.model, self.measures = config, model, dict(measures)
        self.history = LearningCurve(*measures)
        self.report = NetworkReport()
        self.progress = NetworkProgress(self.history)

    @abstractmethod
    def write_motion(self, folder: Path) -> None:
        """Draw and write what the trained network does, `learned.png` and the motion."""

    def check_gradients(self) -> None:
        raise ConfigError("check_gradients compares the unknowns of a fit; leave it out with this task.")

    def results(self, *, ended: str, seconds: float) -> dict[str, Any]:
        rows = self.history.rows
        best = min(rows, key=lambda row: row["loss"])
        measures = {
            title: {"initial": rows[0]["values"][name], "found": best["values"][name], "unit": unit}
            for name, (title, unit) in self.measures.items()
        }
        losses = {"initial": rows[0]["loss"], "found": self.history.best_loss}
        fit = {"epochs": len(rows) - 1, "ended": ended, "seconds": round(seconds, 1)}
        return {"parameters": {}, "measures": measures, "loss": losses, **fit}

    @torch.no_grad()
    def write(self, folder: Path, results: Mapping[str, Any]) -> dict[str, Any]:
        write_results(folder, results)
        torch.save(self.history.weights(self.model), folder / "weights.pt")
        losses = [row["loss"] for row in self.history.rows]
        series = {
            f"{title} [{unit}]" if unit else title: self.history.series(name)
            for name, (title, unit) in self.measures.items()
        }
        convergence_picture(folder / "convergence.png", losses, series, {})
        self.write_motion(folder)
        return dict(results)

    def table(self, results: Mapping[str, Any]) -> str:
        lines = []
        for title, row in results["measures"].items():
            unit = f" {row['unit']}" if row["unit"] else ""
            lines.append(f"{title}: {row['initial']:.3g}{unit} -> {row['found']:.3g}{unit}")
        return "\n".join(lines)
