"""What an argument accepts: for any value, the clean one that means the same, or that there is none."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

Shape = tuple[int, ...]


class _Nothing:
    def __repr__(self) -> str:
        return "NOTHING"


# No clean value means the same: the value must be refused.
NOTHING = _Nothing()


class Kind(Protocol):
    """What an argument accepts."""

    def clean(self, value: Any) -> Any:
        """Return the clean value that means the same as `value`, or NOTHING."""


def as_numbers(value: Any) -> Tensor | None:
    """Return real numbers in double precision, or None if the value is something else."""
    try:
        if isinstance(value, Tensor):
            if value.device.type == "meta" or value.is_complex() or value.is_quantized:
                return None
            return value.detach().to_dense().double()
        if isinstance(value, str | bytes | Mapping | set | type | None) or callable(value):
            return None
        array = np.asarray(value)
        if array.dtype.kind not in "biufO" or isinstance(value, np.datetime64):
            return None
        if array.dtype.kind == "O" and any(x is None or isinstance(x, str) for x in array.flat):
            return None
        return torch.from_numpy(np.array(array, dtype=np.float64))
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None


@dataclass(frozen=True)
class Numbers:
    """Real numbers.

    Attributes:
        fits: whether the shape is right.
        low, high: what each lies strictly between; equal to them if `closed`.
        whole: whether each is a whole number.
        words: what is accepted instead.
        finite: whether each must be finite. A pure function may pass NaN on.
        rising: whether each must be larger than the one before.
        also: what else must hold.
        form: "number", "numbers", "count", "counts", "indices", "tensor", "same" for a tensor whose precision
            is kept, or "quantity", which may be a number or a tensor.
    """

    fits: Callable[[Shape], bool]
    low: float = -math.inf
    high: float = math.inf
    closed: bool = False
    whole: bool = False
    words: tuple[Any, ...] = ()
    finite: bool = True
    rising: bool = False
    also: Callable[[Tensor], bool] = lambda numbers: True
    form: str = "number"

    def clean(self, value: Any) -> Any:
        if value is None or isinstance(value, str | bool):
            return value if any(value is word or value == word for word in self.words) else self._truth(value)
        numbers = as_numbers(value)
        if numbers is None or not self.fits(tuple(numbers.shape)):
            return NOTHING
        # What the default precision cannot hold is as wrong as infinity, and as zero.
        held = numbers if self.whole or self.form == "number" else numbers.to(torch.get_default_dtype())
        inside = (
            (held >= self.low) & (held <= self.high)
            if self.closed
            else (held > self.low) & (held < self.high)
        )
        if self.finite and not bool((inside & held.isfinite()).all()):
            return NOTHING
        if self.whole and not bool((numbers == numbers.round()).all() and (numbers.abs() < 1e15).all()):
            return NOTHING
        if self.rising and not bool((held.diff() > 0).all()):
            return NOTHING
        if self.form == "same" and getattr(value, "dtype", torch.float32) not in (
            torch.float32,
            torch.float64,
        ):
            return NOTHING
        if not self.also(held):
            return NOTHING
        return value if self.form == "same" and isinstance(value, Tensor) else self._formed(numbers)

    def _truth(self, value: Any) -> Any:
        # A truth value is a number to Python; whether it is one here is left open.
        return self.clean(float(value)) if isinstance(value, bool) else NOTHING

    def _formed(self, numbers: Tensor) -> Any:
        if self.form == "count":
            return int(numbers)
        if self.form == "counts":
            return [int(number) for number in numbers]
        if self.form == "numbers":
            return numbers.tolist()
        if self.form == "indices":
            return numbers.long()
        if self.form in ("tensor", "same") or (self.form == "quantity" and numbers.ndim):
            return numbers.to(torch.get_default_dtype())
        return numbers.item() if numbers.ndim == 0 or numbers.numel() == 1 else tuple(numbers.tolist())


@dataclass(frozen=True)
class Instance:
    """An object of a class, or one of a few words."""

    classes: tuple[type, ...]
    words: tuple[Any, ...] = ()

    def clean(self, value: Any) -> Any:
        if any(value is word or (isinstance(value, str) and value == word) for word in self.words):
            return value
        return value if isinstance(value, self.classes) else NOTHING


@dataclass(frozen=True)
class Choice:
    """One of a few words, or numbers of another kind."""

    words: tuple[Any, ...]
    other: Kind | None = None

    def clean(self, value: Any) -> Any:
        # By type too: True is equal to 1, and an array to nothing in particular.
        if any(type(value) is type(word) and value == word for word in self.words):
            return value
        return NOTHING if self.other is None else self.other.clean(value)


@dataclass(frozen=True)
class Selection:
    """Some of the vertices of a mesh, at least one.

    Attributes:
        names: of its vertex sets.
        components: whether a mask of components is accepted.
    """

    count: int
    names: tuple[str, ...]
    components: bool = False
    optional: bool = False

    def clean(self, value: Any) -> Any:
        if value is None:
            return None if self.optional else NOTHING
        if isinstance(value, str):
            return value if value in self.names else NOTHING
        numbers = as_numbers(value)
        if numbers is None or not len(numbers.shape) or not numbers.numel():
            return NOTHING
        if getattr(value, "dtype", None) in (torch.bool, np.dtype(bool)) or _all_bools(value):
            shapes = [(self.count,), (self.count, 3)] if self.components else [(self.count,)]
            fits = tuple(numbers.shape) in shapes and bool(numbers.any())
            return numbers.bool() if fits else NOTHING
        inside = (numbers >= 0) & (numbers < self.count) & (numbers == numbers.round())
        return numbers.long() if numbers.ndim == 1 and bool(inside.all()) else NOTHING


def _all_bools(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(x, bool) for x in value)


@dataclass(frozen=True)
class Named:
    """Values by name.

    Attributes:
        kind: of each value.
        names: that are allowed; any text that a module can be named by, if None, or any but the empty one if
            `free`.
    """

    kind: Kind
    names: tuple[str, ...] | None = None
    optional: bool = True
    free: bool = False

    def clean(self, value: Any) -> Any:
        if value is None and self.optional:
            return None
        if not isinstance(value, Mapping):
            return NOTHING
        found = {name: self.kind.clean(part) for name, part in value.items()}
        right = all(isinstance(name, str) and self._allows(name) for name in found)
        return found if right and NOTHING not in map(_hashable, found.values()) else NOTHING

    def _allows(self, name: str) -> bool:
        if self.names is not None:
            return name in self.names
        module = "." not in name and not hasattr(torch.nn.ModuleDict, name)
        return bool(name) and (self.free or module)


def _hashable(value: Any) -> Any:
    return NOTHING if value is NOTHING else None


@dataclass(frozen=True)
class Names:
    """One or several names out of some."""

    known: tuple[str, ...]
    empty: bool = False
    optional: bool = False

    def clean(self, value: Any) -> Any:
        if value is None and self.optional:
            return None
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list | tuple | set | Mapping):
            return NOTHING
        listed = list(listed)
        right = all(isinstance(name, str) and name in self.known for name in listed)
        return listed if right and (listed or self.empty) else NOTHING


@dataclass(frozen=True)
class Several:
    """So many different texts, or none for those by default."""

    count: int

    def clean(self, value: Any) -> Any:
        if isinstance(value, list | tuple | Mapping) and not value:
            return ()
        texts = isinstance(value, list | tuple) and all(isinstance(part, str) and part for part in value)
        return tuple(value) if texts and len(value) == len(set(value)) == self.count else NOTHING


@dataclass(frozen=True)
class Text:
    """Any text, or one that fits."""

    fits: Callable[[str], bool] = bool
    optional: bool = False

    def clean(self, value: Any) -> Any:
        if value is None:
            return None if self.optional else NOTHING
        return value if isinstance(value, str) and self.fits(value) else NOTHING


@dataclass(frozen=True)
class File:
    """A path for which something holds."""

    fits: Callable[[str], bool]

    def clean(self, value: Any) -> Any:
        right = isinstance(value, str | os.PathLike) and self.fits(os.fspath(value))
        return value if right else NOTHING


@dataclass(frozen=True)
class Truth:
    """A truth value; any object has one."""

    words: tuple[Any, ...] = field(default=(True, False))

    def clean(self, value: Any) -> Any:
        if any(value is word for word in self.words):
            return value
        return bool(value) if isinstance(value, np.bool_) else NOTHING


@dataclass(frozen=True)
class Callables:
    """A function; what it does when called is not looked at."""

    optional: bool = False

    def clean(self, value: Any) -> Any:
        return value if callable(value) or (value is None and self.optional) else NOTHING
