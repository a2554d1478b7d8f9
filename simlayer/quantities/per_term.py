"""Quantities that have a value for each term of a sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simlayer.quantities.arrays import checked_numbers, described


def per_term(name: str, values: Any) -> list[Any]:
    """Return the values of a quantity, one for each term.

    Raises:
        TypeError: if this is no sequence.
        ValueError: if it is empty, or a tensor whose graph would be lost.
    """
    if isinstance(values, (Tensor, np.ndarray)):
        if isinstance(values, Tensor) and values.requires_grad:
            raise ValueError(f"{name} is a tensor that requires grad, whose graph would be lost.")
        values = list(torch.atleast_1d(checked_numbers(name, values)))
    if not isinstance(values, Sequence) or isinstance(values, (str, bytes)):
        raise TypeError(f"{name} must be a sequence with a value for each term, got {described(values)}.")
    if not len(values):
        raise ValueError(f"{name} must have a value for each term, got {described(values)}.")
    return list(values)
