"""Physical quantities of a module: unit, valid range, and how they are stored.

A quantity is declared on the class and assigned in the constructor:

    class Gent(Material):
        shear_modulus = Quantity("Pa", over="cells", positive=True)

        def __init__(self, shear_modulus):
            super().__init__()
            self.shear_modulus = shear_modulus      # registers the parameter `log_shear_modulus`

The stored value is unconstrained, so that any optimizer step keeps the quantity valid; what is read is the
physical value. During a rollout every value is computed once and substituted for all steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, overload

import torch
from torch import Tensor, nn

from simlayer.errors import first_index
from simlayer.quantities.arguments import checked_choice, checked_flag, checked_number, checked_several
from simlayer.quantities.arrays import checked_numbers, described

Axis = Literal["uniform", "cells", "vertices", "components", "vertex vectors"]


class Quantity:
    """A physical quantity of a module, stored as an unconstrained `nn.Parameter`.

    Args:
        unit: the SI unit, for display.
        over: what the last axis runs over. A single value is always allowed, except for "components"
            (3 values) and "vertex vectors" (the last two axes are N and 3). All axes before are batch.
        positive: the value is positive and its logarithm is stored, as `log_<name>`.
        bounds: the value lies strictly between these two and its logit is stored, as `logit_<name>`.
        scale: the typical size of changes, for a value that has neither; the value is stored in units of
            it, as `scaled_<name>`, so that the steps of an optimizer fit.
        nonzero: no vector of components is zero, because its direction matters.
        closed: whether the ends of the range are values, too: zero where it is positive, or both bounds. They
            are stored as infinite, so that no optimizer starts from them.
    """

    def __init__(
        self,
        unit: str,
        *,
        over: Axis = "uniform",
        positive: bool = False,
        bounds: tuple[float, float] | None = None,
        scale: float | None = None,
        nonzero: bool = False,
        closed: bool = False,
    ) -> None:
        if not isinstance(unit, str):
            raise TypeError(f"unit must be a text, such as 'Pa', got {described(unit)}.")
        checked_choice("over", over, get_args(Axis))
        if scale is not None:
            scale = checked_number("scale", scale, above=0)
        if bounds is not None:
            low, high = checked_several("bounds", bounds, 2, checked_number)
            bounds = (low, high)
            if not low < high:
                raise ValueError(f"bounds must be two finite numbers, the lower one first, got {bounds}.")
        if sum((checked_flag("positive", positive), bounds is not None, scale is not None)) > 1:
            raise ValueError("a quantity is positive, or has bounds, or a scale, but no two of these.")
        self.unit, self.over, self.positive, self.bounds = unit, over, positive, bounds
        if checked_flag("nonzero", nonzero) and over != "components":
            raise ValueError(f"nonzero must be False for a quantity over {over!r}, got {nonzero}.")
        if checked_flag("closed", closed) and not (positive or bounds):
            raise ValueError("closed must be False for a quantity that is neither positive nor has bounds.")
        self.scale, self.nonzero, self.closed = scale, nonzero, closed
        self.name = self.stored_name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        prefix = "log_" if self.positive else "logit_" if self.bounds else "scaled_" if self.scale else ""
        self.name, self.stored_name = name, prefix + name

    @overload
    def __get__(self, module: None, owner: type) -> Quantity: ...
    @overload
    def __get__(self, module: nn.Module, owner: type) -> Tensor: ...
    def __get__(self, module: Any, owner: type) -> Tensor | Quantity:
        if module is None:
            return self
        substitute = module.substitutes.get(self.name)
        return self.decode(self.stored(module)) if substitute is None else substitute

    def __set__(self, module: nn.Module, value: Any) -> None:
        current = module._parameters.get(self.stored_name)
        dtype = torch.get_default_dtype() if current is None else current.dtype
        stored = self.encode(value, dtype)
        check_own_axes(self, stored, getattr(module, "extents", {}), name=self.name)
        if current is None:
            module._parameters[self.stored_name] = nn.Parameter(stored, requires_grad=False)
        else:
            # Optimizers and state dicts may refer to the parameter, so the object stays the same.
            current.data = stored.to(current)
            with torch.no_grad():
                current.copy_(current)  # counts as a modification, of which autograd warns backward

    def stored(self, module: nn.Module) -> Tensor:
        """Return the parameter in which a module stores this quantity, or what takes its place for a time.

        Raises:
            ValueError: if the module was given no value of it.
        """
        parameter = module._parameters.get(self.stored_name)
        if parameter is None:
            raise ValueError(
                f"{self.name} of {type(module).__name__} has no value: assign it in the constructor, as in "
                f"self.{self.name} = {self.name}."
            )
        return parameter

    @property
    def own_axes(self) -> int:
        """The number of trailing axes that belong to the quantity; the axes before them are batch."""
        return 2 if self.over == "vertex vectors" else 1

    def encode(self, value: Any, dtype: torch.dtype) -> Tensor:
        """Return the stored tensor of a physical value.

        Raises:
            TypeError: if the value is neither a number nor an array of numbers, see `checked_numbers`.
            ValueError: if the value is outside the valid range, or in this precision, or requires grad.
        """
        if isinstance(value, Tensor) and value.requires_grad:
            raise ValueError(
                f"{self.name} was assigned a tensor that requires grad, whose graph would be lost; supply it "
                f"per call instead: rollout(state, {{'<path>.{self.name}': ...}})."
            )
        # In double precision, so that a logarithm costs no more than its own rounding.
        tensor = checked_numbers(self.name, value)
        self.check(tensor, name=self.name)
        stored = tensor
        if self.positive:
            stored = tensor.log()
        elif self.bounds:
            low, high = self.bounds
            stored = ((tensor - low) / (high - tensor)).log()
        elif self.scale:
            stored = tensor / self.scale
        stored = stored.to(dtype)
        self._check_held(tensor, stored)
        return stored

    def _check_held(self, value: Tensor, stored: Tensor) -> None:
        """Raise ValueError if what is stored of a value is read out of range, or as zero."""
        held = self.decode(stored)
        lost = ~self.contains(held) | (held == 0) & (value != 0)
        if bool(lost.any()):
            cause = "too near to a bound" if self.bounds else "too large or too small"
            number = value[lost].flatten()[0].item()
            raise ValueError(f"{self.name} is {number}, which {held.dtype} cannot hold: {cause}.")

    def decode(self, stored: Tensor) -> Tensor:
        """Return the physical value of a stored tensor."""
        if self.positive:
            return stored.exp()
        if self.bounds:
            low, high = self.bounds
            return low + (high - low) * stored.sigmoid()
        if self.scale:
            return self.scale * stored
        return stored

    def value(self, stored: Tensor) -> Tensor:
        """Return the physical value of a stored tensor as a tensor of its own."""
        decoded = self.decode(stored)
        return decoded.clone() if decoded is stored else decoded

    @property
    def range(self) -> tuple[float, float]:
        """The two numbers between which every physical value lies, themselves included where it is closed."""
        return (0.0, math.inf) if self.positive else self.bounds or (-math.inf, math.inf)

    def contains(self, value: Tensor) -> Tensor:
        """Return which physical values are finite and in the valid range."""
        low, high = self.range
        inside = (value >= low) & (value <= high) if self.closed else (value > low) & (value < high)
        return inside & value.isfinite()

    def check(self, value: Tensor, *, name: str, first_step: int | None = None) -> None:
        """Raise ValueError, naming `name`, unless every physical value is finite and in the valid range.

        With `first_step`, the first axis of the value is time, from the step with this index on.
        """
        wrong = ~self.contains(value)
        if bool(wrong.any()):
            index = first_index(wrong)
            first, where = value[index].item(), place(index, self.own_axes, first_step)
            low, high = self.range
            interval = f"[{low:g}, {high:g}]" if self.closed else f"({low:g}, {high:g})"
            rule = f"lie in {interval}" if self.bounds else "be finite"
            if self.positive:
                rule = "be zero or positive" if self.closed else "be positive"
                rule += " and finite" if math.isinf(first) else ""
            raise ValueError(
                f"{name} must {rule}, got {'NaN' if math.isnan(first) else f'{first:g}'}{where}."
            )
        if self.nonzero and bool((zero := (value == 0).all(-1)).any()):
            where = place(first_index(zero), 0, first_step)
            raise ValueError(f"{name} must not be zero, got {value[first_index(zero)].tolist()}{where}.")


def place(index: tuple[int, ...], own_axes: int, first_step: int | None = None) -> str:
    """Return in words in which step and sample an entry of a value is, see `Quantity.check`."""
    batch, step = index[: max(len(index) - own_axes, 0)], ""
    if first_step is not None:
        step, batch = f" in step {first_step + batch[0] + 1} of its control", batch[1:]
    return step + (f" in sample {batch}" if batch else "")


class derived_quantity:  # noqa: N801 - used as a decorator, like property
    """A property that follows from quantities only, `(*batch, own)`, computed once per rollout."""

    own_axes = 1

    def __init__(self, compute: Callable[[Any], Tensor]) -> None:
        self.compute, self.name, self.__doc__ = compute, compute.__name__, compute.__doc__

    @overload
    def __get__(self, module: None, owner: type) -> derived_quantity: ...
    @overload
    def __get__(self, module: nn.Module, owner: type) -> Tensor: ...
    def __get__(self, module: Any, owner: type) -> Tensor | derived_quantity:
        if module is None:
            return self
        substitute = module.substitutes.get(self.name)
        return self.compute(module) if substitute is None else substitute

    def __set__(self, module: Any, value: Any) -> None:
        names = ", ".join(module.quantities()) or "other quantities"
        raise AttributeError(f"{self.name} of {type(module).__name__} follows from {names}; assign these.")


class derived_vectors(derived_quantity):  # noqa: N801
    """A derived quantity that is a vector at every vertex, `(*batch, N, 3)`."""

    own_axes = 2


def check_own_axes(
    quantity: Quantity, value: Tensor, extents: Mapping[str, int], *, name: str, steps: int | None = None
) -> None:
    """Raise ValueError, naming `name`, if the trailing axes of `value` cannot be the quantity's own.

    Any number of cells or vertices fits as long as `extents` does not tell how many there are. With `steps`,
    the first axis of the value is time.
    """
    given, over = tuple(value.shape), quantity.over
    shape, batch = (given, "*batch") if steps is None else (given[1:], f"{steps}, *batch")
    if over == "vertex vectors":
        count = extents.get("vertices")
        fits = len(shape) >= 2 and shape[-1] == 3 and (count is None or shape[-2] in (1, count))
        rule = f"({batch}, {count or 'N'}, 3) or ({batch}, 1, 3)"
    elif over == "components":
        fits = bool(shape) and shape[-1] == 3
        rule = f"({batch}, 3)"
    else:
        size = 1 if over == "uniform" else extents.get(over)
        fits = not shape or size is None or shape[-1] in (1, size)
        rule = f"({batch}, 1)" if size == 1 else f"({batch}, 1) or ({batch}, {size})"
        if over != "uniform":
            rule += f" (one value for all, or over {size} {over})"
    if not fits:
        hint = f"; one value per sample is shape {(*given, 1)}" if shape else ""
        raise ValueError(f"{name} has shape {given}; its last axis is its own: expected {rule}{hint}.")
