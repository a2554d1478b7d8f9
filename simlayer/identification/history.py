"""The history of a fit: the loss and the unknowns after every epoch, and the best of all evaluations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from simlayer.identification.module import ParameterIdentification
from simlayer.identification.unknowns import FEW, summarize
from simlayer.quantities.arguments import checked_parts
from simlayer.quantities.arrays import checked_numbers

# A reference of more values than this is divided by its quartiles.
REGIONS = 8


class History(Callback):
    """Records the loss and the unknowns before training and after every epoch, and logs them.

    It is part of every checkpoint, so that a resumed fit has its whole history, and one CSV log. The best
    values are those of any evaluation of the loss; where an optimizer sees only a part of the scenes at a
    time, those after an epoch.

    Args:
        reference: true physical values by full name, where they are known.

    Attributes:
        rows: one per epoch; the first is the first guess.
        best_loss: the lowest loss, infinite before the first evaluation.

    Raises:
        TypeError, ValueError: if the reference does not map names to numbers.
    """

    def __init__(self, reference: Mapping[str, Tensor | float] | None = None) -> None:
        reference = {} if reference is None else checked_parts("reference", reference, object, "a tensor")
        self.reference = {
            name: checked_numbers(f"reference[{name!r}]", value) for name, value in reference.items()
        }
        self.rows: list[dict[str, Any]] = []
        self.best_loss = math.inf
        self._best: dict[str, Tensor] = {}  # stored values by name
        self._norms: dict[str, float] = {}

    def series(self, name: str) -> list[float]:
        """Return the mean of an unknown in every row."""
        return [torch.tensor(row["values"][name]).mean().item() for row in self.rows]

    def load_best(self, model: ParameterIdentification) -> None:
        """Set the unknowns of a model to the best values."""
        for unknown in model.unknowns:
            unknown.parameter.data.copy_(self._best[unknown.name])

    def restart(self) -> None:
        """Compare no later evaluation with those before, as after a change of what the loss is of."""
        self.best_loss = math.inf

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, CSVLogger):  # It has begun a new file.
                for row in self.rows:
                    logger.log_metrics(row["metrics"], step=row["epoch"])

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        if trainer.num_training_batches == trainer.world_size == trainer.accumulate_grad_batches == 1:
            self._compare(float(loss.detach()), pl_module)

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
        loss, values = float(trainer.callback_metrics["loss"]), model.values()
        self._compare(loss, model)
        metrics = {"loss": loss}
        for name, value in values.items():
            numbers = summarize(value)
            if isinstance(numbers, float):
                metrics[name] = numbers
            else:
                metrics |= {f"{name}.{k}": number for k, number in enumerate(numbers)}
            error = relative_error(value, self.reference[name]) if name in self.reference else None
            if error is not None:
                metrics[f"error/{name}"] = error
        metrics |= {f"gradient_norm/{name}": norm for name, norm in self._norms.items()}
        summaries = {name: summarize(value) for name, value in values.items()}
        row: dict[str, Any] = {"epoch": len(self.rows), "loss": loss, "values": summaries, "metrics": metrics}
        self.rows.append(row)
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=row["epoch"])

    def _compare(self, loss: float, model: LightningModule) -> None:
        """Keep the present values if they are better than all before."""
        assert isinstance(model, ParameterIdentification)
        if loss < self.best_loss:
            self.best_loss = loss
            self._best = {u.name: u.parameter.detach().cpu().clone() for u in model.unknowns}

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "best_loss": self.best_loss, "best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self.best_loss = state_dict["rows"], state_dict["best_loss"]
        self._best = state_dict["best"]


def relative_error(value: Tensor, reference: Tensor) -> float | None:
    """Return the relative error of a number or of a vector's length, or the median error of a field.

    There is none where the reference is zero.
    """
    value, reference = torch.broadcast_tensors(value.detach().cpu(), reference.to(value.dtype).cpu())
    if not bool(reference.any()):
        return None
    difference = (value - reference).abs()
    if value.numel() > FEW:
        return float((difference / reference.abs()).median())
    return float(difference.norm() / reference.norm())


def errors_by_region(value: Tensor, reference: Tensor) -> list[dict[str, Any]]:
    """Return the relative errors of a field in each region of the truth, where that is not zero.

    A region is where the reference has one of its values, or lies between two of its quartiles where it has
    many values. Each has the `reference`, lowest and highest, the number of `values`, and their
    `median_error` and `worst_error`.
    """
    value, reference = torch.broadcast_tensors(value.detach().cpu().double(), reference.double().cpu())
    levels, regions = reference.unique(), reference
    if len(levels) > REGIONS:
        regions = torch.bucketize(reference, reference.quantile(torch.tensor([0.25, 0.5, 0.75]).double()))
    found = []
    for region in regions.unique():
        inside = (regions == region) & (reference != 0)
        if not bool(inside.any()):
            continue
        errors = (value[inside] / reference[inside] - 1).abs()
        found.append(
            {
                "reference": [float(reference[inside].min()), float(reference[inside].max())],
                "values": int(inside.sum()),
                "median_error": float(errors.median()),
                "worst_error": float(errors.max()),
            }
        )
    return found
