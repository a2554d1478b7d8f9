"""Checks of arguments that are objects: of a class, names, paths, refused by name and value."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any, TypeVar

from simlayer.quantities.arrays import described

T = TypeVar("T")


def checked_instance(name: str, value: Any, kind: type[T] | tuple[type[T], ...], *, example: str = "") -> T:
    """Return an object of a class, or of one of several.

    Args:
        name: what the object is called, for messages.
        value: what was given.
        kind: the class; an object of a class that derives from it is one too.
        example: how to make one, for messages.

    Raises:
        TypeError: if the value is of another class, or the class itself.
    """
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = " or ".join(each.__name__ for each in kinds)
        hint = f", such as {example}" if example else ""
        raise TypeError(f"{name} must be of class {names}{hint}, got {described(value)}.")
    return value


def checked_text(name: str, value: Any) -> str:
    """Return a text that is not empty; raises TypeError or ValueError, naming `name`, for anything else."""
    if not checked_instance(name, value, str):
        raise ValueError(f"{name} must be a text that is not empty, got {value!r}.")
    return str(value)


def checked_names(name: str, value: Any, *, ordered: bool = False) -> tuple[str, ...]:
    """Return texts, from a sequence or set of them or the names of a mapping.

    Args:
        name: what they are called, for messages.
        value: what was given.
        ordered: whether their order matters, which a set does not keep.

    Raises:
        TypeError: if the value is none of these; a text is none either.
        ValueError: if one is empty.
    """
    listed = isinstance(value, (Sequence, Set, Mapping)) and not isinstance(value, str)
    if ordered and isinstance(value, (set, frozenset)):
        raise TypeError(f"{name} must be in order, as in a list, got {described(value)}.")
    if not listed or not all(isinstance(part, str) for part in value):
        raise TypeError(f"{name} must be a list of texts, got {described(value)}.")
    if not all(value):
        raise ValueError(f"{name} must hold no empty text, got {value!r}.")
    return tuple(value)


def names_of_quantities(name: str, value: Any) -> list[str]:
    """Return one name or several as a list; raises TypeError, naming `name`, if they are no texts."""
    return list(checked_names(name, [value] if isinstance(value, str) else value))


def checked_path(name: str, value: Any) -> Path:
    """Return the path of a file or folder; raises TypeError, naming `name`, if the value cannot be one."""
    path: Any = checked_instance(name, value, (str, os.PathLike))
    if not os.fspath(path):
        raise ValueError(f"{name} must be the path of a file, got {path!r}.")
    return Path(path)


def checked_function(name: str, value: T) -> T:
    """Return what can be called; raises TypeError, naming `name`, if the value cannot be."""
    if not callable(value):
        raise TypeError(f"{name} must be a function, got {described(value)}.")
    return value
