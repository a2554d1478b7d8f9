"""What a fit went through: the loss and the unknowns after every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from simlayer.identification.module import ParameterIdentification
from simlayer.identification.unknowns import LISTED, listed


class History(Callback):
    """Records the loss and the unknowns, at first and after every epoch, and passes them to the loggers.

    It is part of every checkpoint, so that a resumed fit has a whole history.

    Args:
        reference: true physical values by name, as far as they are known.

    Attributes:
        rows: one an epoch, the first before any training.
    """

    def __init__(self, reference: Mapping[str, Tensor] | None = None) -> None:
        self.reference = dict(reference or {})
        self.rows: list[dict[str, Any]] = []
        self._norms: dict[str, float] = {}

    @property
    def best(self) -> dict[str, Any]:
        """The row of the epoch with the least loss; the first guess counts only where there is no epoch."""
        return min(self.rows[1:] or self.rows, key=lambda row: row["loss"])

    def series(self, name: str) -> list[float]:
        """The mean of an unknown in every row."""
        return [torch.tensor(row["values"][name]).mean().item() for row in self.rows]

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, ParameterIdentification)
        gradients = ((unknown.name, unknown.parameter.grad) for unknown in pl_module.unknowns)
        self._norms = {name: float(grad.norm()) for name, grad in gradients if grad is not None}

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.rows:
            self._record(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            self._record(trainer, pl_module)

    def _record(self, trainer: Trainer, model: LightningModule) -> None:
        assert isinstance(model, ParameterIdentification)
        row: dict[str, Any] = {
            "epoch": len(self.rows),
            "loss": float(trainer.callback_metrics["loss"]),
            "values": {name: listed(value) for name, value in model.values().items()},
        }
        metrics = {"loss": row["loss"]}
        for name, value in model.values().items():
            metrics |= {name: float(value.mean())} if value.numel() == 1 or value.numel() > LISTED else {
                f"{name}.{k}": float(part) for k, part in enumerate(value.flatten())
            }  # fmt: skip
            error = relative_error(value, self.reference[name]) if name in self.reference else None
            if error is not None:
                metrics[f"error/{name}"] = error
        metrics |= {f"gradient_norm/{name}": norm for name, norm in self._norms.items()}
        self.rows.append(row)
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=row["epoch"])

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]


def relative_error(value: Tensor, reference: Tensor) -> float | None:
    """Of one number; of a vector by its length; of a field the median over its entries; None of zero."""
    value, reference = torch.broadcast_tensors(value.detach().cpu(), reference.to(value.dtype).cpu())
    if not bool(reference.any()):
        return None
    difference = (value - reference).abs()
    if value.numel() > LISTED:
        return float((difference / reference.abs()).median())
    return float(difference.norm() / reference.norm())
