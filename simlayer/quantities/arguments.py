"""Checks of arguments: numbers, whole numbers, choices and arrays of numbers, refused by name and value."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from simlayer.errors import hint

T = TypeVar("T")

# The most characters of a value that a message shows.
_SHOWN = 60


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
    if isinstance(value, Tensor) and value.numel() == 1 and _is_integer(value.dtype) and not value.is_meta:
        value = value.item()
    if isinstance(value, np.ndarray) and value.shape == () and value.dtype.kind in "iu":
        value = value.item()
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be {what}, got {described(value)}.")
    number = int(value)
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
    if len(parts) != count:
        raise ValueError(f"{what}, got {described(value)}.")
    return tuple(check(f"{name}[{index}]", part, **rules) for index, part in enumerate(parts))


def checked_numbers(name: str, value: Any) -> Tensor:
    """Return a number or an array of numbers as a new float64 tensor, on the device of a tensor.

    Takes Python numbers, NumPy scalars and arrays, nested sequences of all these, and tensors.

    Raises:
        TypeError: if the value is none of these.
        ValueError: if it is empty or ragged, or a tensor that has no plain values.
    """
    if isinstance(value, Tensor):
        return _copied(name, value)
    if isinstance(value, (list, tuple)) and any(isinstance(part, Tensor) for part in value):
        return _stacked(name, [checked_numbers(name, part) for part in value])
    if isinstance(value, Real) and not isinstance(value, (bool, np.bool_)):
        return torch.tensor(_as_float(value), dtype=torch.float64)
    takes = f"{name} must be a number or an array of numbers"
    if not (isinstance(value, Sequence) or hasattr(value, "__array__")) or isinstance(value, (str, bytes)):
        raise TypeError(f"{takes}, got {described(value)}.")
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(
            f"{takes} of one shape, got rows of different lengths: {described(value)}."
        ) from None
    except (TypeError, RuntimeError):
        raise TypeError(f"{takes}, got {described(value)}.") from None
    if array.size and array.dtype.kind not in "iuf":
        raise TypeError(f"{takes}, got {described(value)}, which holds {array.dtype}.")
    if isinstance(value, np.ma.MaskedArray):
        array = np.ma.filled(value.astype(np.float64), np.nan)
    # Copied: torch takes neither another byte order nor negative strides.
    return _nonempty(name, torch.from_numpy(np.array(array, dtype=np.float64, order="C")))


def checked_integers(name: str, value: Any) -> Tensor:
    """Return an array of integers of any type as an int64 tensor, on the device of a tensor.

    Raises:
        TypeError: if the value is no array of integers.
    """
    if not isinstance(value, Tensor) and isinstance(value, (Sequence, np.ndarray)):
        array = np.array(value) if _is_rectangular(value) else np.array("")
        value = torch.from_numpy(array.astype(np.int64)) if array.dtype.kind in "iu" else value
    if not isinstance(value, Tensor) or not _is_integer(value.dtype) or value.layout != torch.strided:
        raise TypeError(f"{name} must be an array of integers, got {described(value)}.")
    return value.to(torch.int64, copy=True)


def checked_parts(name: str, value: Any, kind: Any, example: str) -> dict[str, Any]:
    """Return a mapping from names to objects of a class; raises TypeError, naming what is none."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must map names to objects of class {kind.__name__}, got {described(value)}.")
    for key, part in value.items():
        if not isinstance(key, str) or not isinstance(part, kind):
            raise TypeError(
                f"{name}[{key!r}] must be a {kind.__name__} under a name, such as {example}, got "
                f"{described(part)}."
            )
    return dict(value)


def described(value: Any) -> str:
    """Return a short description of a value of any kind for a message."""
    if isinstance(value, (Tensor, np.ndarray)) and (value.ndim or getattr(value, "is_meta", False)):
        return f"{type(value).__name__} of shape {tuple(value.shape)}, {value.dtype}"
    if isinstance(value, torch.nn.Module):
        return f"a {type(value).__name__}"
    if isinstance(value, Tensor):
        return f"a tensor of {value.item()}" if value.layout == torch.strided else f"a tensor, {value.layout}"
    text = " ".join(repr(value).split())
    text = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
    return text if isinstance(value, (Real, str, type(None))) else f"{text} ({type(value).__name__})"


def _copied(name: str, tensor: Tensor) -> Tensor:
    kind = (
        "nested" if tensor.is_nested
        else "sparse" if tensor.layout != torch.strided
        else "quantized" if tensor.is_quantized
        else "complex" if tensor.is_complex()
        else "boolean" if tensor.dtype == torch.bool
        else "on the device 'meta', without values" if tensor.is_meta
        else None
    )  # fmt: skip
    if kind:
        raise ValueError(f"{name} must be a plain tensor of real numbers, got one that is {kind}.")
    return _nonempty(name, tensor.detach().to(torch.float64, copy=True))


def _stacked(name: str, parts: list[Tensor]) -> Tensor:
    if len({part.shape for part in parts}) > 1:
        shapes = ", ".join(str(tuple(part.shape)) for part in parts[:5])
        raise ValueError(f"{name} must be an array of one shape, got parts of the shapes {shapes}.")
    return torch.stack(parts)


def _nonempty(name: str, tensor: Tensor) -> Tensor:
    if not tensor.numel():
        raise ValueError(f"{name} must hold at least one number, got shape {tuple(tensor.shape)}.")
    return tensor


def _scalar(name: str, value: Any, what: str) -> float:
    if isinstance(value, Tensor) and value.requires_grad:
        raise TypeError(f"{name} must be {what}; a tensor that requires grad would lose its graph.")
    if isinstance(value, (Tensor, np.ndarray)) and (isinstance(value, Tensor) or not value.ndim):
        try:
            numbers = checked_numbers(name, value)
        except (TypeError, ValueError):
            numbers = torch.empty(0)
        if numbers.numel() == 1:
            return float(numbers)
    elif isinstance(value, Real) and not isinstance(value, (bool, np.bool_)):
        return _as_float(value)
    raise TypeError(f"{name} must be {what}, got {described(value)}.")


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an int beyond the range of floats
        return math.inf if value > 0 else -math.inf


def _is_rectangular(value: Any) -> bool:
    try:
        np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        return False
    return True


def _is_integer(dtype: torch.dtype) -> bool:
    return not (dtype.is_floating_point or dtype.is_complex or dtype == torch.bool)


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
