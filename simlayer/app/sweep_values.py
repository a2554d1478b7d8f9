"""Overrides with several values: what a multirun needs of them, and the first of their values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from hydra.core.override_parser.types import Glob, IntervalSweep, Override

from simlayer.errors import ConfigError

# A multirun has one folder, and does not name those of its runs.
SINGLE = ("output", "run_name", "sweep_name", "objective")


def sweep_problems(overrides: Sequence[Override], *, multirun: bool) -> Iterator[str]:
    """Yield what is wrong with the overrides that have several values."""
    swept = [override for override in overrides if override.is_sweep_override()]
    if swept and not multirun:
        yield f"{swept[0].key_or_group} has several values, which needs a multirun: add -m."
        return
    sweepers = [override for override in overrides if override.key_or_group == "hydra/sweeper"]
    for override in swept:
        key = override.key_or_group
        if key in SINGLE:
            yield f"{key} has several values, but is one for all runs of a multirun."
        if isinstance(override.value(), IntervalSweep) and not sweepers:
            yield f"{key} has an interval, of which only a search takes values: add hydra/sweeper=optuna."
    chosen = {override.key_or_group: override.value() for override in overrides}
    if multirun and chosen.get("hydra/sweeper") == "optuna" and chosen.get("objective") is None:
        yield "hydra/sweeper=optuna makes a number of results.json small, such as objective=loss.found."


def first_value(override: Override, options: Callable[[Override], list[str]]) -> str:
    """Return an override with the first of the values that it sweeps over.

    Args:
        override: the override.
        options: returns the options of the group of an override.

    Raises:
        ConfigError: if it has none.
    """
    if not override.is_sweep_override():
        return str(override.input_line)
    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep):
        return f"{key}={value.start}"
    values = value.filter(options(override)) if isinstance(value, Glob) else override.sweep_string_iterator()
    for first in values:
        return f"{key}={first}"
    raise ConfigError(f"{override.input_line} has no values to sweep over.")
