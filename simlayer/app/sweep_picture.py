"""A picture of what the runs of a multirun have found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from simlayer.plotting import styled
from simlayer.plotting.units import label

# The most quantities in the picture.
DRAWN = 8

# The ratio of its largest to its smallest value from which an axis is logarithmic.
WIDE = 30.0


@styled
def sweep_picture(
    runs: Sequence[tuple[int, Mapping[str, Any]]], swept: Sequence[Mapping[str, Any]]
) -> Figure | None:
    """Draw the loss and every parameter over what was swept; return None if no run has results.

    Args:
        runs: the number and the results of each run.
        swept: the overrides that differ between runs, by key. If these are the numbers of one key, that key
            is the horizontal axis, else it is the number of the run.
    """
    places, across = _places(runs, swept)
    series = _series(runs, places)
    if not series:
        return None
    figure = Figure(figsize=(4 * len(series), 3.2))
    axes = figure.subplots(1, len(series), squeeze=False)[0]
    for axis, (title, points) in zip(axes, series.items(), strict=True):
        _draw(axis, points)
        axis.set(title=title, xlabel=across)
        if _wide([place for place, *_ in points]):
            axis.set_xscale("log")
        elif across == "run":
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _places(
    runs: Sequence[tuple[int, Mapping[str, Any]]], swept: Sequence[Mapping[str, Any]]
) -> tuple[list[float], str]:
    """Return where each run is on the horizontal axis, and the label of that axis."""
    keys = {key for values in swept for key in values}
    if len(keys) == 1:
        (key,) = keys
        values = [own.get(key) for own in swept]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            return [float(value) for value in values], key  # type: ignore[arg-type]
    return [float(number) for number, _ in runs], "run"


def _series(
    runs: Sequence[tuple[int, Mapping[str, Any]]], places: Sequence[float]
) -> dict[str, list[tuple[float, float, float]]]:
    """Return by title the place, value and standard error of every run that has a single number for it."""
    series: dict[str, list[tuple[float, float, float]]] = {}
    for (_, results), place in zip(runs, places, strict=True):
        rows = {
            "loss": {"found": results.get("loss", {}).get("found"), "unit": ""},
            **results.get("parameters", {}),
        }
        for name, row in rows.items():
            if isinstance(row["found"], int | float):
                title = label(name.rpartition(".")[2], row["unit"])
                error = row.get("standard_error", 0.0)
                series.setdefault(title, []).append((place, row["found"], error))
    return dict(list(series.items())[:DRAWN])


def _draw(axis: Axes, points: Sequence[tuple[float, float, float]]) -> None:
    places, values, errors = zip(*sorted(points), strict=True)
    axis.errorbar(places, values, yerr=errors if any(errors) else None, fmt="o", markersize=4, capsize=2)
    if _wide(values):
        axis.set_yscale("log")


def _wide(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) > WIDE * min(values)
