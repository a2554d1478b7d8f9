"""Comparison of a fit's gradients with central differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call
from tqdm import tqdm

from simlayer.errors import GradientError
from simlayer.identification.module import ParameterIdentification
from simlayer.identification.scenes import ObservedScenes
from simlayer.identification.unknowns import Unknown
from simlayer.rollout.central_differences import GradientCheck, GradientReport, compare_gradients


class _TotalLoss(nn.Module):
    """The total loss as a function of the parameters, for `functional_call`."""

    def __init__(self, model: ParameterIdentification, scenes: ObservedScenes) -> None:
        super().__init__()
        self.model, self.scenes = model, scenes

    def forward(self) -> Tensor:
        return self.model.total_loss(self.scenes)


def fit_gradients(
    model: ParameterIdentification,
    scenes: ObservedScenes,
    on_check: Callable[[GradientCheck], None] | None = None,
) -> GradientReport:
    """Compare the gradient of the total loss with respect to each unknown's physical value.

    Args:
        model: the fit.
        scenes: what it is fitted to.
        on_check: called after each unknown.
    """
    loss = _TotalLoss(model, scenes)
    places = {id(parameter): place for place, parameter in loss.named_parameters()}
    names = {unknown.name: places[id(unknown.parameter)] for unknown in model.unknowns}
    unknowns = {unknown.name: unknown for unknown in model.unknowns}
    tensors = {name: unknown.value.clone().requires_grad_() for name, unknown in unknowns.items()}

    def evaluate(values: Mapping[str, Tensor]) -> Tensor:
        stored = {names[name]: _stored(unknowns[name], value) for name, value in values.items()}
        return functional_call(loss, stored, ())

    return compare_gradients(evaluate, tensors, on_check=on_check)


def _stored(unknown: Unknown, value: Tensor) -> Tensor:
    """Return the stored value of a physical one, with the gradient of that map."""
    stored = unknown.quantity.encode(value.detach(), value.dtype).to(value)
    if not value.requires_grad:
        return stored
    with torch.enable_grad():
        at = stored.requires_grad_()
        (slope,) = torch.autograd.grad(unknown.quantity.decode(at).sum(), at)
    return at.detach() + (value - value.detach()) / slope


def check_fit_gradients(model: ParameterIdentification, scenes: ObservedScenes) -> None:
    """Print the comparison; raise GradientError if a gradient is wrong."""
    print("\nGradients of the loss at the first guess, compared with central differences:", flush=True)
    with tqdm(total=len(model.unknowns), unit="quantity", delay=2, disable=None) as bar:
        report = fit_gradients(model, scenes, lambda check: bar.update())
    print(report)
    if not report.passed:
        wrong = ", ".join(check.name for check in report.checks if not check.passed)
        raise GradientError(f"the gradient with respect to {wrong} differs from the central difference.")
