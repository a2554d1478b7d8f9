"""The gradient of a function of named tensors against central differences, as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from simlayer.quantities.arguments import checked_integer, checked_number
from simlayer.quantities.arrays import check_plain, checked_numbers, described

# Relative differences that central differences reach on a rollout of ordinary conditioning.
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 2e-2}


@dataclass(frozen=True)
class GradientCheck:
    """One checked quantity.

    Attributes:
        name: the quantity, or "positions" or "velocities" of the initial state.
        size: how many numbers it holds.
        value: the number, or the root mean square of several.
        gradient: the derivative of the loss along the checked direction, by reverse mode.
        difference: the same by the central difference that agrees best.
        step: the step of that difference.
        relative_error: their difference relative to the larger of the two.
        passed: whether that is within the tolerance, or both are zero to rounding.
    """

    name: str
    size: int
    value: float
    gradient: float
    difference: float
    step: float
    relative_error: float
    passed: bool


@dataclass(frozen=True)
class GradientReport:
    """The outcome of `check_gradients`; prints as a table."""

    checks: tuple[GradientCheck, ...]
    tolerance: float

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    def __str__(self) -> str:
        width = max(len("quantity"), *(len(check.name) for check in self.checks))
        columns = f"{'size':>7} {'value':>12} {'gradient':>14} {'difference':>14} {'relative':>9}"
        rows = [
            f"{c.name:<{width}} {c.size:>7} {c.value:>12.5g} {c.gradient:>14.7e} {c.difference:>14.7e} "
            f"{c.relative_error:>9.1e}  {'ok' if c.passed else 'WRONG'}"
            for c in self.checks
        ]
        verdict = f"{'all' if self.passed else 'NOT all'} within {self.tolerance:g}"
        head = f"{'quantity':<{width}} {columns}"
        return "\n".join([head, *rows, f"{verdict}, at the best of several step sizes each"])


def _checked_steps(steps: Sequence[float]) -> list[float]:
    numbers = checked_numbers("steps", steps)
    if numbers.ndim != 1 or not bool((numbers > 0).all() & numbers.isfinite().all()):
        raise ValueError(f"steps must be a list of positive finite numbers, got {described(steps)}.")
    return numbers.tolist()


def compare_gradients(
    evaluate: Callable[[Mapping[str, Tensor]], Tensor],
    tensors: Mapping[str, Tensor],
    *,
    steps: Sequence[float] = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
    tolerance: float | None = None,
    seed: int = 0,
    on_check: Callable[[GradientCheck], None] | None = None,
) -> GradientReport:
    """Compare the gradient of a scalar function of named tensors that require grad with central differences.

    `on_check` is called after each tensor; other arguments as for `check_gradients`.
    """
    if tolerance is not None:
        tolerance = checked_number("tolerance", tolerance, above=0.0)
    steps, seed = _checked_steps(steps), checked_integer("seed", seed, least=0, most=2**63 - 1)
    value = evaluate(tensors)
    if isinstance(value, Tensor):
        check_plain("loss", value)
    if not isinstance(value, Tensor) or value.ndim or not value.requires_grad:
        raise ValueError(
            "loss must be a tensor of one number that is computed from the final state, with shape (), got "
            f"{described(value)}."
        )
    gradients = torch.autograd.grad(value, list(tensors.values()), allow_unused=True, materialize_grads=True)
    generator = torch.Generator().manual_seed(seed)
    accepted = tolerance or _TOLERANCE[value.dtype]
    checks = []
    for (name, tensor), gradient in zip(tensors.items(), gradients, strict=True):
        direction = _direction(gradient, generator)

        def shifted(step: float, name: str = name, direction: Tensor = direction) -> float:
            with torch.no_grad():
                return float(evaluate({**tensors, name: tensors[name] + step * direction}))

        slope = float((gradient * direction).sum())
        checks.append(_compare(name, tensor.detach(), slope, shifted, steps, accepted, float(value.detach())))
        if on_check is not None:
            on_check(checks[-1])
    return GradientReport(tuple(checks), accepted)


def _compare(
    name: str,
    tensor: Tensor,
    slope: float,
    shifted: Callable[[float], float],
    steps: Sequence[float],
    tolerance: float,
    value: float,
) -> GradientCheck:
    size = float(tensor.square().mean().sqrt())
    best = (float("inf"), 0.0, 0.0)
    vanishes = False
    for step in (relative * (size or 1.0) for relative in steps):
        difference = (shifted(step) - shifted(-step)) / (2 * step)
        largest = max(abs(slope), abs(difference))
        rounding = 4 * torch.finfo(tensor.dtype).eps * abs(value) / step
        vanishes = vanishes or (step == steps[0] * (size or 1.0) and largest <= rounding)
        best = min(best, (abs(slope - difference) / largest if largest else 0.0, difference, step))
    error, difference, step = best
    return GradientCheck(
        name, tensor.numel(), size if tensor.numel() > 1 else float(tensor), slope, difference, step, error,
        error <= tolerance or vanishes,
    )  # fmt: skip


def _direction(gradient: Tensor, generator: torch.Generator) -> Tensor:
    """Return a unit direction with a large share of the gradient and something of every entry."""
    if gradient.numel() == 1:
        return torch.ones_like(gradient)
    random = torch.randn(gradient.shape, generator=generator, dtype=gradient.dtype).to(gradient.device)
    direction = random / random.norm() + gradient / gradient.norm().clamp(
        min=torch.finfo(gradient.dtype).tiny
    )
    return direction / direction.norm()
