"""Checks of the options of a rollout."""

from __future__ import annotations

from typing import Any

from simlayer.quantities.arguments import checked_choice, checked_integer
from simlayer.quantities.arrays import described


def checked_checkpoint(name: str, value: Any) -> str | int:
    """Return a way of checkpointing, a name or a number of steps; raises ValueError if it is neither."""
    try:
        if isinstance(value, str):
            return checked_choice(name, value, ("auto", "sqrt", "none"))
        return checked_integer(name, value, least=1)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must be 'auto', 'sqrt', 'none' or a positive int, got {described(value)}."
        ) from None


def checked_compiler(name: str, value: Any) -> str | bool:
    """Return whether to compile, or the name of a compiler backend; raises TypeError if it is neither."""
    if not isinstance(value, (str, bool)) or value == "":
        raise TypeError(
            f"{name} must be True, False, 'auto' or the name of a backend, got {described(value)}."
        )
    return value


def checked_truncation(name: str, value: Any) -> int | None:
    """Return a number of steps, or None; raises TypeError or ValueError if the value is neither."""
    return None if value is None else checked_integer(name, value, least=1)
