"""Checks of arguments: numbers, whole numbers, choices and flags, refused by name and value."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from simlayer.errors import hint
from simlayer.quantities.arrays import as_float, check_plain, checked_numbers, described, is_integer

T = TypeVar("T")

# The largest int that a tensor can hold.
_LARGEST = torch.iinfo(torch.int64).max
# Where modules are kept by name.
_MODULES = nn.ModuleDict()


def checked_number(
    name: str,
    value: Any,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    below: float = math.inf,
    most: float = math.inf,
    unit: str = "",
) -> float:
    """Return a finite number in a range as a float: a Python or NumPy number, or a tensor of one.

    Args:
        name: what the number is called, for messages.
        value: what was given.
        above, below: the number lies strictly between these two.
        least, most: the number is at least and at most this.
        unit: its unit, for messages.

    Raises:
        TypeError: if the value is no number.
        ValueError: if it is not finite or out of range.
    """
    what = _kind("a", "number", above, least, below, most, unit)
    number = _scalar(name, value, what)
    if not (math.isfinite(number) and above < number < below and least <= number <= most):
        raise ValueError(f"{name} must be {what}, got {described(value)}.")
    return number


def checked_integer(name: str, value: Any, *, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number in a range as an int: a Python or NumPy integer, or a tensor of one.

    Args:
        name: what the number is called, for messages.
        value: what was given.
        least, most: the number is at least and at most this.

    Raises:
        TypeError: if the value is no integer; a whole float is none either.
        ValueError: if it is out of range.
    """
    low, high = -math.inf if least is None else least, math.inf if most is None else most
    what = _kind("an", "int", -math.inf, low, math.inf, high, "")
    if isinstance(value, Tensor) and value.shape in ((), (1,)) and is_integer(value.dtype):
        check_plain(name, value)
        value = value.item()
    if isinstance(value, np.ndarray) and value.shape == () and value.dtype.kind in "iu":
        value = value.item()
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be {what}, got {described(value)}.")
    number = int(value)
    if abs(number) > _LARGEST:
        raise ValueError(f"{name} must be {what}, and fit into 64 bits, got {described(value)}.")
    if not low <= number <= high:
        raise ValueError(f"{name} must be {what}, got {described(value)}.")
    return number


def checked_choice(name: str, value: T, choices: Collection[T]) -> T:
    """Return a value that is one of several; raises ValueError, with the nearest one, if it is none."""
    # By type too: True is equal to 1, and a tensor to nothing in particular.
    found = [choice for choice in choices if type(choice) is type(value) and choice == value]
    if not found:
        near = f"; {hint(value, map(str, choices))}" if isinstance(value, str) else "."
        listed = ", ".join(map(repr, choices))
        raise ValueError(f"{name} must be one of {listed}, got {described(value)}{near}")
    return found[0]


def checked_flag(name: str, value: Any) -> bool:
    """Return a value that is True or False; raises TypeError if it is neither."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {described(value)}.")
    return bool(value)


def checked_several(
    name: str, value: Any, count: int, check: Callable[..., T], **rules: Any
) -> tuple[T, ...]:
    """Return a sequence of so many values, each of which passes a check of this file.

    Raises:
        TypeError: if the value is no sequence, or as the check raises.
        ValueError: if it has another length, or as the check raises.
    """
    what = f"{name} must be {count} values"
    if not isinstance(value, (Sequence, np.ndarray, Tensor)) or isinstance(value, (str, bytes)):
        raise TypeError(f"{what}, got {described(value)}.")
    parts = value if isinstance(value, Sequence) else list(value) if value.ndim else [value]
    if len(parts) != count or getattr(value, "ndim", 1) > 1:
        raise ValueError(f"{what}, got {described(value)}.")
    return tuple(check(f"{name}[{index}]", part, **rules) for index, part in enumerate(parts))


def checked_parts(name: str, value: Any, kind: Any, example: str) -> dict[str, Any]:
    """Return a mapping from names to objects of a class.

    Args:
        name: what the mapping is called, for messages.
        value: what was given.
        kind: the class; names of modules must do for an `nn.ModuleDict` too.
        example: how to make one of the class, for messages.

    Raises:
        TypeError: if the value is no such mapping, naming what is none.
        ValueError: if a name is empty, or cannot be a module's.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must map names to objects of class {kind.__name__}, got {described(value)}.")
    for key, part in value.items():
        if not isinstance(key, str) or not isinstance(part, kind):
            raise TypeError(
                f"{name}[{key!r}] must be a {kind.__name__} under a name, such as {example}, got "
                f"{described(part)}."
            )
        if not key:
            raise ValueError(f"{name} must have names that are not empty, got {key!r}.")
        if issubclass(kind, nn.Module) and ("." in key or hasattr(_MODULES, key)):
            reason = "it has a dot" if "." in key else "modules have an attribute of that name"
            raise ValueError(f"{name} cannot hold the name {key!r}: {reason}; take another one.")
    return dict(value)


def _scalar(name: str, value: Any, what: str) -> float:
    if isinstance(value, Tensor) and value.requires_grad:
        raise TypeError(f"{name} must be {what}; a tensor that requires grad would lose its graph.")
    if isinstance(value, (Tensor, np.ndarray)) and (isinstance(value, Tensor) or not value.ndim):
        try:
            numbers = checked_numbers(name, value)
        except (TypeError, ValueError):
            numbers = torch.empty(0)
        if numbers.numel() == 1 and numbers.ndim <= 1:
            return float(numbers)
    elif isinstance(value, Real) and not isinstance(value, (bool, np.bool_)):
        return as_float(value)
    raise TypeError(f"{name} must be {what}, got {described(value)}.")


def _kind(article: str, noun: str, above: float, least: float, below: float, most: float, unit: str) -> str:
    """Return what a number must be, in words."""
    limits = {"above": above, "at least": least, "below": below, "at most": most}
    rules = [f"{rule} {limit:g}" for rule, limit in limits.items() if math.isfinite(limit)]
    if noun == "number":
        noun = "finite number"
    if above == 0:
        article, noun, rules = "a", f"positive {noun}", rules[1:]
    what = f"{article} {noun}{f' in {unit}' if unit else ''}"
    return ", ".join([what, " and ".join(rules)]) if rules else what
