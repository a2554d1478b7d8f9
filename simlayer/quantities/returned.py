"""Checks of what the methods of a user's class return; a step may make them: no value is read."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from simlayer.quantities.arrays import oddity


def check_returned(
    value: Any, shape: tuple[int, ...], like: Tensor, *, name: str, rule: str, hint: str = ""
) -> None:
    """Raise TypeError, naming the method `name`, unless it returned floating-point numbers of this shape.

    Args:
        value: what it returned.
        shape: what shape that must have.
        like: a tensor on the same device.
        name: what the method is called, for messages.
        rule: what it must return, in words.
        hint: what else to say of another shape.
    """
    misshapen = isinstance(value, Tensor) and value.shape != shape
    if not isinstance(value, Tensor):
        got = type(value).__name__
    elif misshapen:
        got = f"shape {tuple(value.shape)}"
    elif kind := oddity(value):
        got = f"one that is {kind}"
    elif not value.is_floating_point() or value.device != like.device:
        got = f"{value.dtype} on {value.device}"
    else:
        return
    remedy = hint if misshapen else ""
    raise TypeError(f"{name} must return {rule}, a tensor of shape {tuple(shape)}, got {got}.{remedy}")


def check_vectors(value: Any, like: Tensor, *, name: str, added: bool = False) -> None:
    """Raise TypeError, naming the method `name`, unless it returned a vector for every vertex of a state.

    Args:
        value: what it returned.
        like: the positions of the state, whose shape, precision and device the vectors must have.
        name: what the method is called, for messages.
        added: whether the vectors are only added to others. One may then be that of all vertices or samples,
            by axes that are missing or of length 1, and the precision may be lower.
    """
    if isinstance(value, Tensor) and _kind(value) == _kind(like):
        return
    shared = added and isinstance(value, Tensor) and _is_shared(value.shape, like.shape)
    shape = value.shape if shared else like.shape
    check_returned(value, shape, like, name=name, rule="a vector for every vertex")
    sum_dtype = torch.promote_types(value.dtype, like.dtype) if added else value.dtype
    if sum_dtype != like.dtype:
        raise TypeError(f"{name} must return vectors in the state's {like.dtype}, got {value.dtype}.")


def _kind(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.shape, tensor.dtype, tensor.device, tensor.layout


def _is_shared(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    ends = zip(reversed(shape), reversed(whole), strict=False)
    return len(shape) <= len(whole) and shape[-1:] == (3,) and all(a in (1, b) for a, b in ends)
