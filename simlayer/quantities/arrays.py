"""Checks of arguments that are arrays of numbers, and descriptions of values for messages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

# What a simulation computes in: half precision has an error of order one in a deformation gradient.
PRECISIONS = (torch.float32, torch.float64)
# The most characters of a value that a message shows.
_SHOWN = 60


def checked_numbers(name: str, value: Any) -> Tensor:
    """Return a number or an array of numbers as a new float64 tensor, on the device of a tensor.

    Takes Python numbers, NumPy scalars and arrays, nested sequences of all these, and tensors.

    Raises:
        TypeError: if the value is none of these.
        ValueError: if it is empty or ragged, or a tensor that has no plain values.
    """
    if isinstance(value, Tensor):
        check_plain(name, value)
        return _nonempty(name, value.detach().to(torch.float64, copy=True))
    takes = f"{name} must be a number or an array of numbers"
    if isinstance(value, (str, bytes)) or is_record(value):
        raise TypeError(f"{takes}, got {described(value)}.")
    if isinstance(value, (list, tuple)) and any(isinstance(part, Tensor) for part in value):
        return _stacked(name, [checked_numbers(name, part) for part in value])
    if isinstance(value, Real) and not isinstance(value, (bool, np.bool_)):
        return torch.tensor(as_float(value), dtype=torch.float64)
    if not (isinstance(value, Sequence) or hasattr(value, "__array__")):
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
        ValueError: if it is a tensor that has no plain values.
    """
    if not isinstance(value, Tensor) and isinstance(value, (Sequence, np.ndarray)):
        array = np.array(value) if _is_rectangular(value) else np.array("")
        value = torch.from_numpy(array.astype(np.int64)) if array.dtype.kind in "iu" else value
    if not isinstance(value, Tensor) or not is_integer(value.dtype):
        raise TypeError(f"{name} must be an array of integers, got {described(value)}.")
    check_plain(name, value)
    return value.to(torch.int64, copy=True)


def checked_floats(name: str, value: Any) -> Tensor:
    """Return a tensor of single or double precision as it is, with its graph.

    Raises:
        TypeError: if the value is no such tensor.
        ValueError: if it has no plain values.
    """
    if not isinstance(value, Tensor) or value.dtype not in PRECISIONS:
        raise TypeError(f"{name} must be a tensor of float32 or float64, got {described(value)}.")
    check_plain(name, value)
    return value


def checked_directions(name: str, value: Any) -> Tensor:
    """Return unit vectors `(M, 3)` in double precision along vectors of any length, one `(3,)` or several.

    Raises:
        TypeError: as `checked_numbers` does.
        ValueError: if a vector is not finite, or zero, or they have another shape.
    """
    given = checked_numbers(name, value)
    if given.ndim not in (1, 2) or given.shape[-1] != 3:
        raise ValueError(f"{name} must be one direction (3,) or several (M, 3), got {described(value)}.")
    rows = given.reshape(-1, 3)
    lengths = rows.norm(dim=-1)
    wrong = ~(lengths.isfinite() & (lengths > 0))
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        where = f" in row {row}" if given.ndim == 2 else ""
        raise ValueError(f"{name} must be finite and not zero, got {rows[row].tolist()}{where}.")
    return rows / lengths[:, None]


def check_plain(name: str, tensor: Tensor) -> None:
    """Raise ValueError, naming `name`, unless a tensor holds real numbers, each at its own place."""
    kind = "boolean" if tensor.dtype == torch.bool else oddity(tensor)
    if kind:
        raise ValueError(f"{name} must be a plain tensor of real numbers, got one that is {kind}.")


def oddity(tensor: Tensor) -> str | None:
    """Return why a tensor does not hold plain numbers, None if it does; nothing of it is read."""
    return (
        "nested" if tensor.is_nested
        else "sparse" if tensor.layout != torch.strided
        else "quantized" if tensor.is_quantized
        else "complex" if tensor.is_complex()
        else "on the device 'meta', without values" if tensor.is_meta
        else None
    )  # fmt: skip


def is_record(value: Any) -> bool:
    """Return whether a value is a named tuple, such as a `State`: its parts are no numbers of one array."""
    return isinstance(value, tuple) and hasattr(value, "_fields")


def described(value: Any) -> str:
    """Return a short description of a value of any kind for a message."""
    if isinstance(value, (Tensor, np.ndarray)) and (value.ndim or getattr(value, "is_meta", False)):
        return f"{type(value).__name__} of shape {tuple(value.shape)}, {value.dtype}"
    if isinstance(value, torch.nn.Module):
        kind = type(value).__name__
        return f"{'an' if kind[0] in 'AEIOUaeiou' else 'a'} {kind}"
    if isinstance(value, Tensor):
        return f"a tensor of {value.item()}" if value.layout == torch.strided else f"a tensor, {value.layout}"
    text = " ".join(repr(value).split())
    text = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
    return text if isinstance(value, (Real, str, type(None))) else f"{text} ({type(value).__name__})"


def as_float(value: Any) -> float:
    """Return a number as a float, infinite beyond the range of floats."""
    try:
        return float(value)
    except OverflowError:  # an int beyond the range of floats
        return math.inf if value > 0 else -math.inf


def is_integer(dtype: torch.dtype) -> bool:
    """Return whether a type is one of integers."""
    return not (dtype.is_floating_point or dtype.is_complex or dtype == torch.bool)


def _stacked(name: str, parts: list[Tensor]) -> Tensor:
    if len({part.shape for part in parts}) > 1:
        shapes = ", ".join(str(tuple(part.shape)) for part in parts[:5])
        raise ValueError(f"{name} must be an array of one shape, got parts of the shapes {shapes}.")
    return torch.stack(parts)


def _nonempty(name: str, tensor: Tensor) -> Tensor:
    if not tensor.numel():
        raise ValueError(f"{name} must hold at least one number, got shape {tuple(tensor.shape)}.")
    return tensor


def _is_rectangular(value: Any) -> bool:
    try:
        np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        return False
    return True
