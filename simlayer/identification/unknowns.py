"""The quantities that a fit is to find, and the checks of their gradients."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from simlayer.errors import GradientError
from simlayer.quantities.named import NamedTensors, full_name
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import Quantity

# More numbers than this are summed up by their mean.
LISTED = 3


@dataclass(frozen=True)
class Unknown:
    """A quantity of a module: the physical value that people read, and the parameter that is trained.

    Attributes:
        name: the physical path, such as `forces.elastic.material.youngs_modulus`.
        module: the module that owns it.
        quantity: its declaration: unit, bounds, axis.
    """

    name: str
    module: PhysicalModule
    quantity: Quantity

    @property
    def parameter(self) -> nn.Parameter:
        """What an optimizer changes: the logarithm, the logit, or the value itself."""
        return self.quantity.stored(self.module)  # type: ignore[return-value]

    @property
    def stored(self) -> Tensor:
        """The same, or what takes the parameter's place for a time."""
        return self.quantity.stored(self.module)

    @property
    def unit(self) -> str:
        return self.quantity.unit

    @property
    def value(self) -> Tensor:
        """The physical value now, in SI units, without gradient."""
        return self.quantity.decode(self.parameter.detach())

    def assign(self, value: Any) -> None:
        """Take this physical value; one number fills a field.

        Raises:
            ValueError: if the value is out of range, or of a shape that the quantity can not have.
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

    def expand(self, over: str) -> None:
        """Give every cell (or region, vertex) a value of its own, all equal to the one there is.

        Raises:
            ValueError: if the quantity does not run over these.
        """
        vertices = "vertex vectors" if self.quantity.over == "vertex vectors" else "vertices"
        axis = {"regions": "cells", "vertices": vertices}.get(over, over)
        size = self.module.extents.get("vertices" if axis == vertices else axis)
        if axis != self.quantity.over or size is None or "component" in axis:
            raise ValueError(
                f"{self.name} can not be expanded over {over!r}; it runs over {self.quantity.over!r}."
            )
        data = self.parameter.data
        if data.ndim < self.quantity.own_axes or data.shape[-self.quantity.own_axes] == 1:
            self.parameter.data = data.expand(size, *data.shape[1:]).clone()


def quantities_of(roots: Mapping[str, nn.Module]) -> dict[str, Unknown]:
    """Every quantity under modules, each module under a prefix ("" for none), by physical name."""
    found = {}
    for prefix, root in roots.items():
        for path, entry in NamedTensors(root).quantities.items():
            name = f"{prefix}.{path}" if prefix else path
            found[name] = Unknown(name, entry.module, entry.quantity)
    return found


def chosen(known: Mapping[str, Unknown], names: Iterable[str]) -> list[Unknown]:
    """Return the quantities with these names, or ends of names; raises KeyError if a name is not one."""
    return [known[full_name(name, known)] for name in names]


@contextmanager
def taking(known: Mapping[str, Unknown], values: Mapping[str, Any]) -> Iterator[None]:
    """Gives quantities other physical values for a time; raises as `chosen` and `assign` do."""
    unknowns = chosen(known, values)
    before = [unknown.parameter.data for unknown in unknowns]
    try:
        for unknown, value in zip(unknowns, values.values(), strict=True):
            unknown.assign(value)
        yield
    finally:
        for unknown, data in zip(unknowns, before, strict=True):
            unknown.parameter.data = data


def listed(value: Tensor) -> float | list[float]:
    """One number, a few, or the mean of many."""
    if value.numel() == 1 or value.numel() > LISTED:
        return float(value.mean())
    return [float(part) for part in value.flatten()]


def written(value: float | list[float]) -> str:
    """For people."""
    return f"{value:.6g}" if isinstance(value, float) else f"({', '.join(f'{part:.5g}' for part in value)})"


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
