"""Checks of the values of overrides against the values that they replace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString
from omegaconf import DictConfig, OmegaConf

TARGET = "_target_"
OWN_TARGETS = ("simlayer.", "torch.", "lightning.")
OPEN = ("auto", "${")  # Beginnings of texts that may stand for anything.


def override_problems(override: Override, defaults: DictConfig) -> Iterator[str]:
    """Yield what is wrong with the values of an override, each in one line with the key and the remedy."""
    key = str(override.key_or_group)
    try:
        default = OmegaConf.select(defaults, key)
    except Exception:
        default = None  # Where it refers to what is not given yet, anything goes.
    for value in _values(override):
        yield from _problems(key, value, default)


def choice_problems(override: Override, options: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with the choice of a group's options, which are names."""
    for value in _values(override):
        names = value if isinstance(value, list) else [value]
        if wrong := [name for name in names if not isinstance(name, str | QuotedString | None)]:
            key = override.key_or_group
            yield f"{key} must be the name of an option, {', '.join(options)}, got {wrong[0]!r}."


def _values(override: Override) -> Sequence[Any]:
    """Return the values of an override: one, several of a multirun, or none that can be listed."""
    value = override.value()
    return value.list or [] if isinstance(value, ChoiceSweep) else [value]


def _problems(key: str, value: Any, default: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, part in value.items():
            inside = default.get(name) if OmegaConf.is_dict(default) else None
            yield from _problems(f"{key}.{name}", part, inside)
    elif key.rpartition(".")[2] == TARGET:
        if value != default and not str(value).startswith(OWN_TARGETS):
            yield f"{key} can only be of {', '.join(OWN_TARGETS)} here, got {value!r}; name others in a file."
    elif expected := _mismatch(value, default):
        yield f"{key} must be {expected}, got {value!r}."


def _mismatch(value: Any, default: Any) -> str | None:
    """Return what a value should be, like the one that it replaces, None if it is."""
    texts = [part for part in (value if isinstance(value, list) else [value]) if isinstance(part, str)]
    texts = [text for text in texts if not text.startswith(OPEN)]
    if isinstance(default, bool):
        return f"true or false (it is {str(default).lower()})" if texts else None
    if isinstance(default, int | float):
        return f"a number, such as {default}" if texts else None
    if OmegaConf.is_list(default):
        if default and all(isinstance(part, int | float) for part in default) and texts:
            return f"a list of numbers, such as {list(default)}"
        single = not isinstance(value, list) and value is not None
        return f"a list, such as {list(default) or '[youngs_modulus]'}" if single else None
    if OmegaConf.is_dict(default) and value is not None and not str(value).startswith(OPEN):
        return "keys and values, {KEY: VALUE, ...}"
    return None
