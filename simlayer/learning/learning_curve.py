"""The learning curve of a network: its losses after every epoch, and its best weights."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from simlayer.identification.epoch_record import EpochRecord


class LearningCurve(EpochRecord):
    """Records the metrics of a module that logs a `loss` in validation, and its weights where that is lowest.

    Args:
        shown: names of metrics that are shown beside the loss.
    """

    def __init__(self, *shown: str) -> None:
        super().__init__()
        self.shown = shown

    def weights(self, model: LightningModule) -> dict[str, Tensor]:
        """Return the parameters that are trained."""
        return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}

    def row(self, trainer: Trainer, model: LightningModule, loss: float) -> dict[str, Any]:
        """Return the metrics that the module has logged."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        return {"values": {name: metrics[name] for name in self.shown}, "metrics": metrics}
