"""Modules whose attributes are checked when they are assigned: settings by value, all others by name."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from torch import nn

from simlayer.errors import hint

T = TypeVar("T")

# The mark of a module whose constructor is running, in which attributes are new.
_BEGUN = "_constructor_begun"


class Option(Generic[T]):
    """A setting of a module that is checked whenever it is assigned, in the constructor and later.

        substeps = Option(checked_integer, least=1)

    Args:
        check: called with the name and the value, returns the value to keep, or raises.
        frozen: whether the setting is part of what the constructor makes, and cannot be assigned afterwards.
        rules: further arguments of `check`.
    """

    def __init__(self, check: Callable[..., T], *, frozen: bool = False, **rules: Any) -> None:
        self.check, self.frozen, self.rules, self.name = check, frozen, rules, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, module: None, owner: type) -> Option[T]: ...
    @overload
    def __get__(self, module: nn.Module, owner: type) -> T: ...
    def __get__(self, module: Any, owner: type) -> T | Option[T]:
        if module is None:
            return self
        try:
            value: T = vars(module)[self.name]
        except KeyError:
            raise AttributeError(f"{type(module).__name__} has no value of {self.name} yet.") from None
        return value

    def __set__(self, module: nn.Module, value: Any) -> None:
        checked = self.check(self.name, value, **self.rules)
        if self.frozen and _BEGUN not in vars(module):
            raise AttributeError(
                f"{self.name} of {type(module).__name__} is fixed when it is made; make a new one instead."
            )
        vars(module)[self.name] = checked


class CheckedModule(nn.Module):
    """A module that refuses to be given attributes that it does not have, once it is constructed.

    A misspelt quantity or setting would otherwise do nothing. Names that begin with an underscore are free,
    and so are new modules. A user's own class may be given any attribute whose name is not nearly that of one
    of its quantities or settings.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = _marked(vars(cls)["__init__"])  # type: ignore[method-assign]

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            declared: Any = getattr(type(self), name, None)
            if hasattr(type(declared), "__set__"):  # before nn.Module takes the name for that of a parameter
                _check_begun(self, name)
                return declared.__set__(self, value)
            _check_name(self, name, value)
        super().__setattr__(name, value)


def _marked(init: Callable[..., None]) -> Callable[..., None]:
    """Return a constructor that marks the module for as long as it runs."""

    @functools.wraps(init)
    def marked(self: nn.Module, *args: Any, **options: Any) -> None:
        outermost = _BEGUN not in vars(self)
        vars(self)[_BEGUN] = True
        try:
            init(self, *args, **options)
        finally:
            if outermost:
                del vars(self)[_BEGUN]

    return marked


def _check_begun(module: nn.Module, name: str) -> None:
    if "_parameters" not in vars(module):
        kind = type(module).__name__
        raise AttributeError(f"{kind} is given {name} too early: call super().__init__() before.")


def _check_name(module: nn.Module, name: str, value: Any) -> None:
    """Raise AttributeError if an attribute is new and its name nearly that of another, or hides a method."""
    own, kind = vars(module), type(module)
    if _BEGUN in own or "_parameters" not in own:
        return
    known = any(name in own[place] for place in ("_parameters", "_buffers", "_modules"))
    if name in own or known or isinstance(value, nn.Module):
        return
    if hasattr(kind, name):
        if callable(getattr(kind, name)) and not callable(value):
            raise AttributeError(
                f"{name} is a method of {kind.__name__} and cannot be assigned; "
                + hint(name, _settable(module) - {name})
            )
        return
    names = _settable(module)
    ours = kind.__module__.partition(".")[0] == __name__.partition(".")[0]
    if ours or difflib.get_close_matches(name, names, cutoff=0.8):
        raise AttributeError(f"{kind.__name__} has no {name!r} that could be assigned; {hint(name, names)}")


def _settable(module: nn.Module) -> set[str]:
    """Return the names of what may be assigned, and of what follows from it."""
    own, kind = vars(module), type(module)
    declared = {name for name in dir(kind) if hasattr(type(getattr(kind, name, None)), "__set__")}
    if kind.__module__.partition(".")[0] == __name__.partition(".")[0]:
        declared |= own.keys() | own["_modules"].keys()
    return {name for name in declared if not name.startswith("_")} - {"substitutes", "training"}
