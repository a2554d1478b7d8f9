"""The history of a fit: the loss and the unknowns after every epoch, and the best of all evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from simlayer.identification.epoch_record import EpochRecord
from simlayer.identification.module import ParameterIdentification
from simlayer.identification.unknowns import FEW, summarize
from simlayer.quantities.arguments import checked_parts
from simlayer.quantities.arrays import checked_numbers

# A reference of more values than this is divided by its quartiles.
REGIONS = 8


class History(EpochRecord):
    """Records the loss and the unknowns before training and after every epoch, and logs them.

    The best values are those of any evaluation of the loss; where an optimizer sees only a part of the scenes
    at a time, those after an epoch.

    Args:
        reference: true physical values by full name, where they are known.

    Raises:
        TypeError, ValueError: if the reference does not map names to numbers.
    """

    def __init__(self, reference: Mapping[str, Tensor | float] | None = None) -> None:
        super().__init__()
        reference = {} if reference is None else checked_parts("reference", reference, object, "a tensor")
        self.reference = {
            name: checked_numbers(f"reference[{name!r}]", value) for name, value in reference.items()
        }
        self._norms: dict[str, float] = {}

    def weights(self, model: LightningModule) -> dict[str, Tensor]:
        """Return the stored values of the unknowns."""
        assert isinstance(model, ParameterIdentification)
        return {unknown.name: unknown.parameter for unknown in model.unknowns}

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        if trainer.num_training_batches == trainer.world_size == trainer.accumulate_grad_batches == 1:
            self.compare(float(loss.detach()), pl_module)

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        gradients = ((name, parameter.grad) for name, parameter in self.weights(pl_module).items())
        self._norms = {name: float(grad.norm()) for name, grad in gradients if grad is not None}

    def row(self, trainer: Trainer, model: LightningModule, loss: float) -> dict[str, Any]:
        """Return the physical values of the unknowns, with their errors and the norms of gradients."""
        assert isinstance(model, ParameterIdentification)
        values, metrics = model.values(), {"loss": loss}
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
        return {"values": {name: summarize(value) for name, value in values.items()}, "metrics": metrics}


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
