"""What pictures are drawn of: arrays of numbers, of any precision and device, with or without a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from simlayer.quantities.arrays import checked_numbers, described

# What a picture takes numbers from.
Array = Tensor | np.ndarray


def as_array(name: str, value: Any, *shape: int | None, infinite: bool = False) -> Float[np.ndarray, "..."]:
    """Return numbers as an array in double precision on the host, without a graph.

    Args:
        name: what they are called, for messages.
        value: a tensor, an array or a list.
        shape: the lengths of all axes, None for any.
        infinite: whether infinite numbers are taken.

    Raises:
        TypeError: if the value is no array of numbers.
        ValueError: if its shape is another one, or infinite numbers are in it; NaN says that one is missing.
    """
    array = checked_numbers(name, value).cpu().numpy()
    if array.ndim != len(shape) or any(b not in (None, a) for a, b in zip(array.shape, shape, strict=True)):
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        wanted += "," * (len(shape) == 1)
        raise ValueError(f"{name} must be of shape ({wanted}), got {described(value)}.")
    if np.isinf(array).any() and not infinite:
        raise ValueError(f"{name} must be finite or NaN, got {described(value)} with infinite numbers.")
    return array


def largest(*arrays: Float[np.ndarray, "..."]) -> float:
    """Return the largest size of all numbers that are not NaN, 0 if there are none."""
    return max((float(np.nanmax(np.abs(a))) for a in arrays if np.isfinite(a).any()), default=0.0)
