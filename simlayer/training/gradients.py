"""What the gradients of a fit have to be: finite, and not zero."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from simlayer.errors import GradientError
from simlayer.training.unknown import LISTED, Unknown, listed, written


def check_gradients_finite(unknowns: Iterable[Unknown], *, epoch: int) -> None:
    """Raise GradientError if one is not finite; call it before an optimizer spoils its state with it."""
    wrong = [
        u for u in unknowns if u.parameter.grad is not None and not bool(u.parameter.grad.isfinite().all())
    ]
    if not wrong:
        return
    values = ", ".join(f"{u.name} (at {summary(u)})" for u in wrong)
    raise GradientError(
        f"the gradient with respect to {values} is not finite in epoch {epoch}; nothing was changed by "
        "it. Try a smaller learning rate, gradient clipping (trainer.gradient_clip_val), damping "
        "(dissipation=mass_damping), a shorter rollout, or a smaller step.dt."
    )


def warn_of_vanishing_gradients(unknowns: Iterable[Unknown]) -> None:
    """Warn of unknowns on which the loss does not depend at all."""
    for u in unknowns:
        if u.parameter.grad is not None and not bool(u.parameter.grad.any()):
            warnings.warn(
                f"the gradient with respect to {u.name} is exactly zero: what is seen does not depend on it, "
                "and it will stay where it is. Observe other points or times, excite the body differently, "
                "or take it out of `trainable`.",
                stacklevel=2,
            )


def summary(unknown: Unknown) -> str:
    """The value, or the range of many, with its unit."""
    value = unknown.value
    low, high = float(value.min()), float(value.max())
    if value.numel() <= LISTED:
        text = written(listed(value))
    else:
        text = f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
    return text if unknown.unit == "1" else f"{text} {unknown.unit}"
