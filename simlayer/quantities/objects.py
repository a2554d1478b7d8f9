"""Checks of arguments that are objects: of a class, names, paths, refused by name and value."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch import Tensor, nn

from simlayer.quantities.arrays import checked_floats, described

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


def checked_function(name: str, value: T, *, arguments: int | None = None) -> T:
    """Return what can be called, with so many arguments if their number is given.

    Raises:
        TypeError: naming `name`, if the value cannot be.
    """
    if not callable(value) or (isinstance(value, nn.Module) and type(value).forward is nn.Module.forward):
        raise TypeError(f"{name} must be a function, got {described(value)}.")
    if arguments is None:
        return value
    try:
        # What all modules are called by takes anything.
        signature = inspect.signature(value.forward if isinstance(value, nn.Module) else value)
    except (TypeError, ValueError):  # some functions of C do not tell
        return value
    try:
        signature.bind(*[None] * arguments)
    except TypeError as error:
        many = f"{arguments or 'no'} argument{'s' if arguments != 1 else ''}"
        raise TypeError(f"{name} must be a function of {many}, got {described(value)}: {error}.") from None
    return value


def checked_parameters(name: str, value: Any) -> list[Tensor]:
    """Return parameters of modules as a list.

    Args:
        name: what they are called, for messages.
        value: what was given, in an order.

    Raises:
        TypeError: if the value is no list, or a part of it no tensor of single or double precision.
        ValueError: if there is none, or one twice, or one that was computed from others or is empty.
    """
    if isinstance(value, (Tensor, np.ndarray, str, Set)) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a list of parameters, got {described(value)}.")
    parameters = list(value)
    for index, parameter in enumerate(parameters):
        own = f"{name}[{index}]"
        if not checked_floats(own, parameter).is_leaf:
            raise ValueError(f"{own} must be a parameter, got a tensor that was computed from others.")
        if not parameter.numel():
            raise ValueError(f"{own} must hold at least one number, got shape {tuple(parameter.shape)}.")
        if any(parameter is other for other in parameters[:index]):
            raise ValueError(f"{own} must be another parameter than those before, got one of them again.")
    if not parameters:
        raise ValueError(f"{name} must hold at least one parameter, got none.")
    return parameters
