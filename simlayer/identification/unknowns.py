"""Quantities to identify: their values, their parameters, and checks of their gradients."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from simlayer.errors import GradientError
from simlayer.quantities.named import NamedTensors, full_name
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import Quantity
from simlayer.quantities.stored_values import check_not_at_end

# More numbers than this are summarized by their mean.
FEW = 3


@dataclass(frozen=True)
class Unknown:
    """A quantity of a module: its physical value, and the parameter in which it is stored.

    Attributes:
        name: the physical name, such as `forces.elastic.material.youngs_modulus`.
        module: the module that owns it.
        quantity: its declaration: unit, bounds, axis.
    """

    name: str
    module: PhysicalModule
    quantity: Quantity

    @property
    def parameter(self) -> Tensor:
        """The stored value that an optimizer changes, or its substitute in a functional call."""
        return self.quantity.stored(self.module)

    @property
    def unit(self) -> str:
        return self.quantity.unit

    @property
    def value(self) -> Tensor:
        """The physical value in SI units, without gradient."""
        return self.quantity.decode(self.parameter.detach())

    def assign(self, value: Any) -> None:
        """Set the physical value; one number fills a field.

        Raises:
            ValueError: if the value is out of range, or of a shape that the quantity cannot have.
        """
        tensor = torch.as_tensor(value, dtype=torch.float64)
        shape = self.parameter.shape
        if tensor.shape != shape and tensor.ndim <= len(shape) and tensor.numel() == 1:
            tensor = tensor.expand(shape)
        before = self.parameter.data
        setattr(self.module, self.quantity.name, tensor)
        try:
            self.module.set_extents()  # checks the new shape
        except ValueError:
            self.parameter.data = before
            raise

    def check_stored(self, stored: Tensor) -> None:
        """Raise ValueError if stored values stand for none in the range of the quantity, in its precision."""
        self.quantity.check(self.quantity.decode(stored.to(self.parameter.dtype)), name=self.name)

    def expand(self, over: str) -> None:
        """Give each cell (or region, or vertex) a value of its own, initially the present one.

        Raises:
            ValueError: if the quantity does not have that axis.
        """
        vertices = "vertex vectors" if self.quantity.over == "vertex vectors" else "vertices"
        axis = {"regions": "cells", "vertices": vertices}.get(over, over)
        size = self.module.extents.get("vertices" if axis == vertices else axis)
        if axis != self.quantity.over or size is None or "component" in axis:
            raise ValueError(
                f"{self.name} cannot be expanded over {over!r}; it runs over {self.quantity.over!r}."
            )
        data = self.parameter.data
        if data.ndim < self.quantity.own_axes or data.shape[-self.quantity.own_axes] == 1:
            self.parameter.data = data.expand(size, *data.shape[1:]).clone()


def quantities_of(roots: Mapping[str, nn.Module]) -> dict[str, Unknown]:
    """Return every quantity under some modules by name, beginning with the module's prefix ("" for none)."""
    found = {}
    for prefix, root in roots.items():
        for path, entry in NamedTensors(root).quantities.items():
            name = f"{prefix}.{path}" if prefix else path
            found[name] = Unknown(name, entry.module, entry.quantity)
    return found


def select_trainable(candidates: Mapping[str, Unknown], names: Iterable[str]) -> list[Unknown]:
    """Return the quantities with these names, as `select_unknowns` does, each once, for a fit to start from.

    Raises:
        ValueError: if one has a value at an end of its range.
    """
    unknowns = list(dict.fromkeys(select_unknowns(candidates, names)))
    for unknown in unknowns:
        check_not_at_end(unknown.name, unknown.parameter)
    return unknowns


def select_unknowns(candidates: Mapping[str, Unknown], names: Iterable[str]) -> list[Unknown]:
    """Return the quantities with these names, or unique ends of names.

    Raises:
        KeyError: if a name matches none, with the nearest one, or if it is the end of several.
    """
    return [candidates[full_name(name, candidates)] for name in names]


def short_names(unknowns: Sequence[Unknown]) -> dict[str, str]:
    """Return the last word of each unknown's name, or the full name where two have the same last word."""
    words = [unknown.name.rpartition(".")[2] for unknown in unknowns]
    return {u.name: w if words.count(w) == 1 else u.name for u, w in zip(unknowns, words, strict=True)}


@contextmanager
def assigned(candidates: Mapping[str, Unknown], values: Mapping[str, Any]) -> Iterator[None]:
    """Set physical values for the time of a `with` block.

    Raises:
        KeyError: if a name is unknown.
        ValueError: if a quantity cannot have its value.
    """
    unknowns = select_unknowns(candidates, values)
    before = [unknown.parameter.data for unknown in unknowns]
    try:
        for unknown, value in zip(unknowns, values.values(), strict=True):
            unknown.assign(value)
        yield
    finally:
        for unknown, data in zip(unknowns, before, strict=True):
            unknown.parameter.data = data


def summarize(value: Tensor) -> float | list[float]:
    """Return a value as one number, as a few numbers, or as the mean of many."""
    if value.numel() == 1 or value.numel() > FEW:
        return float(value.mean())
    return [float(part) for part in value.flatten()]


def format_value(value: float | list[float]) -> str:
    """Format a number, or a few, for display."""
    return f"{value:.6g}" if isinstance(value, float) else f"({', '.join(f'{part:.5g}' for part in value)})"


def format_unknown(unknown: Unknown) -> str:
    """Format the value of an unknown, or the range of many, with its unit."""
    value = unknown.value
    low, high = float(value.min()), float(value.max())
    if value.numel() <= FEW:
        text = format_value(summarize(value))
    else:
        text = f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
    return text if unknown.unit == "1" else f"{text} {unknown.unit}"


def check_gradients_finite(unknowns: Iterable[Unknown], *, epoch: int) -> None:
    """Raise GradientError if a gradient is not finite, before it corrupts the state of an optimizer."""
    gradients = [(unknown, unknown.parameter.grad) for unknown in unknowns]
    wrong = [u for u, gradient in gradients if gradient is not None and not bool(gradient.isfinite().all())]
    if wrong:
        values = ", ".join(f"{u.name} (at {format_unknown(u)})" for u in wrong)
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
                f"the gradient with respect to {u.name} is exactly zero: the observations do not depend on "
                "it, and it will keep its value. Observe other points or times, excite the body differently, "
                "or remove it from `trainable`.",
                stacklevel=2,
            )
