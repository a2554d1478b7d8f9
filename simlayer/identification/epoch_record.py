"""What a training records after every epoch: rows of numbers, and the best weights."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor


class EpochRecord(Callback):
    """Records rows of numbers before training and after every epoch, and keeps the best weights.

    It is part of every checkpoint, so that a resumed training has its whole history, and one CSV log.

    Attributes:
        rows: one per epoch, each with its `epoch`, `loss`, the `values` that are shown beside it, and the
            `metrics` of loggers; the first is before training.
        best_loss: the lowest loss, infinite before the first evaluation.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.best_loss = math.inf
        self._best: dict[str, Tensor] = {}

    @abstractmethod
    def row(self, trainer: Trainer, model: LightningModule, loss: float) -> dict[str, Any]:
        """Return the values and the metrics of a new row."""

    @abstractmethod
    def weights(self, model: LightningModule) -> Mapping[str, Tensor]:
        """Return what is trained, by name."""

    def series(self, name: str) -> list[float]:
        """Return the mean of a value in every row."""
        return [torch.tensor(row["values"][name]).mean().item() for row in self.rows]

    def load_best(self, model: LightningModule) -> None:
        """Set a model to the best weights."""
        for name, weight in self.weights(model).items():
            weight.data.copy_(self._best[name])

    def compare(self, loss: float, model: LightningModule) -> None:
        """Keep the present weights if they are better than all before."""
        if loss < self.best_loss:
            self.best_loss = loss
            self._best = {name: w.detach().cpu().clone() for name, w in self.weights(model).items()}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, CSVLogger):  # It has begun a new file.
                for row in self.rows:
                    logger.log_metrics(row["metrics"], step=row["epoch"])

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.rows:
            self._record(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            self._record(trainer, pl_module)

    def _record(self, trainer: Trainer, model: LightningModule) -> None:
        loss = float(trainer.callback_metrics["loss"])
        self.compare(loss, model)
        row = {"epoch": len(self.rows), "loss": loss, **self.row(trainer, model, loss)}
        self.rows.append(row)
        for logger in trainer.loggers:
            logger.log_metrics(row["metrics"], step=row["epoch"])

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "best_loss": self.best_loss, "best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self.best_loss = state_dict["rows"], state_dict["best_loss"]
        self._best = state_dict["best"]


def is_recorded(trainer: Trainer) -> bool:
    """Return whether a record passes on to loggers what a model logs, which need not do it again."""
    return any(isinstance(callback, EpochRecord) for callback in trainer.callbacks)  # type: ignore[attr-defined]
