"""Hostile values: what a public name may be given by mistake, each with a label."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from simlayer import MassDamping, Sphere, StableNeoHookean, State, box_mesh


@dataclass(frozen=True)
class Hostile:
    """A hostile value.

    Attributes:
        label: what it is, the same in every run.
        make: returns it, given the valid value of the argument that it replaces.
    """

    label: str
    make: Callable[[Any], Any]


def _always(label: str, make: Callable[[], Any]) -> Hostile:
    return Hostile(label, lambda valid: make())


class Unrelated:
    """An object of no class of the package."""


def _module() -> nn.Module:
    """Return the same module every time: drawn weights would be another result."""
    module = nn.Linear(2, 2)
    for parameter in module.parameters():
        nn.init.constant_(parameter, 0.5)
    return module


@cache
def _mesh() -> Any:
    return box_mesh(cells=(1, 1, 1))


_PLAIN: dict[str, Any] = {
    "text": "abc",
    "empty text": "",
    "number as text": "1.5",
    "text with a dot": "a.b",
    "bytes": b"ab",
    "None": None,
    "NaN": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "zero": 0.0,
    "whole zero": 0,
    "one": 1,
    "negative": -1.5,
    "minus one": -1,
    "fraction": 2.5,
    "huge": 1e300,
    "tiny": 1e-300,
    "huge whole": 10**30,
    "True": True,
    "complex": 1 + 2j,
    "Decimal": Decimal("1.5"),
    "Fraction": Fraction(3, 2),
    "class": nn.Linear,
    "function": math.sqrt,
    "NumPy float": np.float32(1.5),
    "NumPy whole": np.int64(2),
    "NumPy bool": np.bool_(True),
    "NumPy NaN": np.float64("nan"),
    "NumPy date": np.datetime64("2020-01-01"),
}

_MADE: dict[str, Callable[[], Any]] = {
    "object": Unrelated,
    "module": _module,
    "dict": lambda: {"a": 1.0},
    "empty dict": dict,
    "set": lambda: {1.0},
    "empty list": list,
    "empty tuple": tuple,
    "list of one": lambda: [1.0],
    "list of two": lambda: [1.0, 2.0],
    "list of three": lambda: [1.0, 2.0, 3.0],
    "list of texts": lambda: ["a", "b"],
    "list of None": lambda: [None],
    "list with text": lambda: [1.0, "a", 2.0],
    "list with NaN": lambda: [1.0, math.nan, 2.0],
    "ragged list": lambda: [[1.0], [2.0, 3.0]],
    "list in a list": lambda: [[1.0, 2.0, 3.0]],
    "generator": lambda: (x for x in (1.0, 2.0, 3.0)),
    "range": lambda: range(3),
    "array of three": lambda: np.array([1.0, 2.0, 3.0]),
    "array backwards": lambda: np.array([1.0, 2.0, 3.0])[::-1],
    "array of objects": lambda: np.array([1.0, None, "a"], dtype=object),
    "array of texts": lambda: np.array(["a", "b", "c"]),
    "array of complex": lambda: np.array([1j, 2.0, 3.0]),
    "array of bools": lambda: np.array([True, False, True]),
    "empty array": lambda: np.zeros((0,)),
    "array without axes": lambda: np.array(1.5),
    "array with a column": lambda: np.ones((3, 1)),
    "tensor without axes": lambda: torch.tensor(1.5),
    "tensor of one": lambda: torch.tensor([1.5]),
    "tensor of three": lambda: torch.tensor([1.0, 2.0, 3.0]),
    "tensor of four": lambda: torch.ones(4),
    "tensor 2 x 1": lambda: torch.tensor([[1.0], [2.0]]),
    "tensor 7 x 3": lambda: torch.ones(7, 3),
    "tensor of six axes": lambda: torch.ones(1, 1, 1, 1, 1, 1),
    "empty tensor": lambda: torch.zeros(0),
    "tensor 0 x 3": lambda: torch.zeros(0, 3),
    "tensor of double": lambda: torch.ones(3, dtype=torch.float64),
    "tensor of half": lambda: torch.ones(3, dtype=torch.float16),
    "tensor of bfloat16": lambda: torch.ones(3, dtype=torch.bfloat16),
    "tensor of whole numbers": lambda: torch.arange(3),
    "tensor of bytes": lambda: torch.ones(3, dtype=torch.uint8),
    "tensor of bools": lambda: torch.tensor([True, False, True]),
    "tensor of complex": lambda: torch.ones(3, dtype=torch.complex64),
    "sparse tensor": lambda: torch.ones(3).to_sparse(),
    "meta tensor": lambda: torch.ones(3, device="meta"),
    "meta tensor without axes": lambda: torch.ones((), device="meta"),
    "tensor that requires grad": lambda: torch.ones(3, requires_grad=True),
    "number that requires grad": lambda: torch.tensor(1.5, requires_grad=True),
    "tensor with NaN": lambda: torch.tensor([1.0, math.nan, 2.0]),
    "tensor of zeros": lambda: torch.zeros(3),
    "parameter": lambda: nn.Parameter(torch.ones(())),
    "mesh": _mesh,
    "material": lambda: StableNeoHookean(1e5, 0.3),
    "dissipation": lambda: MassDamping(1.0),
    "obstacle": lambda: Sphere(0.5),
    "state": lambda: State.at_rest(_mesh().vertices),
}

EVERYWHERE = [
    *(_always(label, lambda value=value: value) for label, value in _PLAIN.items()),
    *(_always(label, make) for label, make in _MADE.items()),
]


def _spoilt(value: Tensor, number: float) -> Tensor:
    spoilt = value.detach().clone()
    spoilt.view(-1)[0] = number
    return spoilt


def _backwards(value: Tensor) -> np.ndarray:
    """The same numbers as an array that NumPy walks through backwards."""
    return np.ascontiguousarray(np.flip(value.detach().numpy()))[tuple([slice(None, None, -1)] * value.ndim)]


_OF_TENSORS: dict[str, Callable[[Tensor], Any]] = {
    "one row fewer": lambda v: v[:-1],
    "one row more": lambda v: torch.cat([v, v[-1:]]),
    "one column fewer": lambda v: v[..., :-1],
    "one axis more": lambda v: v[None],
    "two axes more": lambda v: v[None, None],
    "first row": lambda v: v[0],
    "transposed": lambda v: v.T.contiguous() if v.ndim == 2 else v[:, None],
    "in double": lambda v: v.double(),
    "in half": lambda v: v.half(),
    "in bfloat16": lambda v: v.bfloat16(),
    "in whole numbers": lambda v: v.long(),
    "in bools": lambda v: v.bool(),
    "in complex": lambda v: v.to(torch.complex64),
    "sparse": lambda v: v.to_sparse(),
    "on meta": lambda v: v.to("meta"),
    "requires grad": lambda v: v.double().float().requires_grad_(),
    "not contiguous": lambda v: torch.stack([v, v], -1)[..., 0],
    "as an array": lambda v: v.detach().numpy(),
    "as an array backwards": _backwards,
    "as a list": lambda v: v.tolist(),
    "negated": lambda v: -v if v.dtype != torch.bool else v,
    "times a million": lambda v: v * 1_000_000,
    "NaN inside": lambda v: _spoilt(v.float(), math.nan),
    "infinity inside": lambda v: _spoilt(v.float(), math.inf),
    "empty": lambda v: v[:0],
    "all zero": torch.zeros_like,
}


def _as_tensor(values: Sequence[Any]) -> Tensor:
    return torch.tensor([len(value) if isinstance(value, str) else value for value in values])


_OF_SEQUENCES: dict[str, Callable[[Sequence[Any]], Any]] = {
    "one fewer": lambda v: v[:-1],
    "one more": lambda v: (*v, v[-1]),
    "NaN in front": lambda v: (math.nan, *v[1:]),
    "text in front": lambda v: ("a", *v[1:]),
    "None in front": lambda v: (None, *v[1:]),
    "complex in front": lambda v: (1j, *v[1:]),
    "twice": lambda v: (v, v),
    "as an array": np.array,
    "as an array backwards": lambda v: np.array(v[::-1])[::-1],
    "as a tensor": _as_tensor,
    "as a double": lambda v: _as_tensor(v).double(),
    "as a generator": lambda v: (x for x in v),
    "as a set": set,
}

_OF_NUMBERS: dict[str, Callable[[float], Any]] = {
    "as NumPy": np.float64,
    "as single NumPy": np.float32,
    "as a tensor": lambda v: torch.tensor(v, dtype=torch.float64),
    "as an array": lambda v: np.array(v),
    "as text": str,
    "negated": lambda v: -v,
    "in a list": lambda v: [v],
    "in a tensor": lambda v: torch.tensor([v]),
    "in a dict": lambda v: {"value": v},
    "as complex": complex,
}


def _of_item(make: Callable[[float], Any]) -> Callable[[Tensor], Any]:
    return lambda value: make(value.item())


_OF_TEXT: dict[str, Callable[[str], Any]] = {
    "in capitals": str.upper,
    "with a blank": lambda v: v + " ",
    "as bytes": str.encode,
    "in a list": lambda v: [v],
    "with its end missing": lambda v: v[:-1],
}


def _first(mapping: Mapping[str, Any]) -> Any:
    return next(iter(mapping.values()), None)


_OF_MAPPINGS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "its values": lambda v: list(v.values()),
    "its first value": _first,
    "named by a number": lambda v: {1: _first(v)},
    "named by nothing": lambda v: {"": _first(v)},
    "named with a dot": lambda v: {"a.b": _first(v)},
    "named like a method": lambda v: {"keys": _first(v)},
    "classes": lambda v: {name: type(value) for name, value in v.items()},
    "holding None": lambda v: dict.fromkeys(v or ["a"], None),
    "holding text": lambda v: dict.fromkeys(v or ["a"], "abc"),
    "holding a mesh": lambda v: dict.fromkeys(v or ["a"], _mesh()),
    "unknown names": lambda v: {f"{name}x": value for name, value in v.items()},
}

_OF_OBJECTS: dict[str, Callable[[Any], Any]] = {"its class": type, "in a list": lambda v: [v]}


def hostile_values(valid: Any) -> list[Hostile]:
    """Return what may stand in place of a valid value: values of any kind, and near misses of this one."""
    if isinstance(valid, bool) or valid is None:
        near: dict[str, Callable[[Any], Any]] = {}
    elif isinstance(valid, Tensor):
        near = _OF_TENSORS if valid.ndim else {k: _of_item(make) for k, make in _OF_NUMBERS.items()}
    elif isinstance(valid, int | float):
        near = _OF_NUMBERS
    elif isinstance(valid, str):
        near = _OF_TEXT
    elif isinstance(valid, Mapping):
        near = _OF_MAPPINGS
    elif isinstance(valid, list | tuple) and not hasattr(valid, "_fields"):
        near = _OF_SEQUENCES
    else:
        near = _OF_OBJECTS
    return EVERYWHERE + [Hostile(f"valid, {label}", make) for label, make in near.items()]
