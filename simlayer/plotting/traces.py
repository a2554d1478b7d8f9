"""Pictures of the paths of points over time: observed, at the first guess, found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from simlayer.plotting.arrays import Array, as_array, largest
from simlayer.plotting.style import LINES, add_legend, styled
from simlayer.plotting.units import choose_unit
from simlayer.quantities.arrays import described
from simlayer.quantities.objects import checked_instance, checked_names

# Blue, orange and green for x, y and z.
COMPONENTS = LINES[:3]
# A band of so many standard errors to both sides.
BAND = 2.0


class Style(NamedTuple):
    """How the points of one kind are drawn; a colour is made darker by `shade`."""

    shade: float
    options: dict[str, Any]


# What is found is a solid line over the dots of what was observed, what was guessed are dashes over it, in a
# darker colour: each is seen where all three coincide.
OBSERVED = Style(0.0, {"ls": "", "marker": "o", "ms": 6.0, "alpha": 0.3, "mew": 0.0, "zorder": 1})
FOUND = Style(0.0, {"lw": 1.6, "zorder": 2})
# x is the widest line, so that it is seen below y where both are zero, and y below z.
WIDTHS = (2.8, 1.9, 1.1)
GUESS = Style(0.45, {"lw": 1.0, "ls": (0, (4, 2.5)), "zorder": 3})


@styled
def trace_picture(
    times: Float[Array, "T"],
    observed: Float[Array, "T K 3"],
    simulated: Mapping[str, Float[Array, "T K 3"]],
    names: Sequence[str],
    *,
    errors: Mapping[str, Float[Array, "T K 3"]] | None = None,
) -> Figure:
    """Draw displacements over time, a panel per point: dots for observations, a line for each simulation.

    Args:
        times: of the observations, at least two [s]; `marker_picture` draws a single one.
        observed: displacements of the points [m]; NaN where one was not seen.
        simulated: by title [m]: what was found is the last, all before are guesses.
        names: of the points.
        errors: standard errors by the same titles [m], drawn as bands of two to both sides.
    """
    seconds = as_array("times", times, None)
    if len(seconds) < 2:
        raise ValueError(f"times must be at least two, got {described(times)}; marker_picture draws one.")
    labels = checked_names("names", names, ordered=True)
    shape = (len(seconds), len(labels), 3)
    seen = as_array("observed", observed, *shape)
    paths = checked_paths("simulated", simulated, shape)
    bands = checked_paths("errors", errors, shape) if errors else {}
    if unknown := bands.keys() - paths.keys():
        raise ValueError(f"errors must be of {', '.join(paths)}, got {sorted(unknown)[0]!r}.")
    factor, unit = choose_unit(largest(seen, *paths.values()), "m")
    clock, second = choose_unit(float(np.abs(seconds).max()), "s")
    figure, panels = _panels(len(labels))
    for k, (name, axes) in enumerate(zip(labels, panels.flat, strict=False)):
        for j, color in enumerate(COMPONENTS):
            _draw(axes, seconds / clock, seen[:, k, j] / factor, color, OBSERVED)
            for number, (title, path) in enumerate(paths.items(), 1):
                style = FOUND if number == len(paths) else GUESS
                (line,) = _draw(axes, seconds / clock, path[:, k, j] / factor, color, style)
                if style is FOUND:
                    line.set_linewidth(WIDTHS[j])
                if title in bands:
                    _draw_band(axes, seconds / clock, path[:, k, j], bands[title][:, k, j], factor, color)
        axes.set_title(name)
    for axes in _lowest(panels, len(labels)):
        axes.set_xlabel(f"time [{second}]")
        axes.tick_params(labelbottom=True)
    for axes in panels[:, 0]:
        axes.set_ylabel(f"displacement [{unit}]")
    handles, titles = legend_of(paths, bands=bool(bands))
    add_legend(figure, handles, titles)
    return figure


def checked_paths(
    name: str, paths: Any, shape: tuple[int | None, ...]
) -> dict[str, Float[np.ndarray, "..."]]:
    """Return arrays of a shape by their titles, of which there is at least one."""
    if not checked_instance(name, paths, Mapping):
        raise ValueError(f"{name} must hold at least one, got none.")
    return {title: as_array(f"{name}[{title!r}]", path, *shape) for title, path in paths.items()}


def darker(color: str, shade: float) -> tuple[float, ...]:
    """Return a colour mixed with black."""
    return tuple((1 - shade) * part for part in to_rgb(color))


def legend_of(paths: Mapping[str, Any], *, bands: bool = False) -> tuple[list[Any], list[str]]:
    """Return what stands in the legend: the components by colour, the kinds of curves by line."""
    handles: list[Any] = [Line2D([], [], color=color, lw=3) for color in COMPONENTS]
    handles.append(Line2D([], [], color="black", **OBSERVED.options))
    for number in range(1, len(paths) + 1):
        style = FOUND if number == len(paths) else GUESS
        handles.append(Line2D([], [], color="black", **style.options))
    titles = [*"xyz", "observed", *paths]
    if bands:
        handles.append(Patch(facecolor="black", alpha=0.2, lw=0))
        titles.append("± 2 standard errors")
    return handles, titles


def _panels(count: int) -> tuple[Figure, Any]:
    columns = count if count <= 3 else math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    figure = Figure(figsize=(max(3.6 * columns, 5.0), 2.5 * rows + 0.5))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes in panels.flat[count:]:
        axes.set_axis_off()
    return figure, panels


def _lowest(panels: Any, count: int) -> list[Axes]:
    """Return the panels below which there is none."""
    columns = panels.shape[1]
    return [axes for k, axes in enumerate(panels.flat) if k < count <= k + columns]


def _draw(axes: Axes, x: Any, y: Any, color: str, style: Style) -> list[Line2D]:
    return axes.plot(x, y, color=darker(color, style.shade), **style.options)


def _draw_band(axes: Axes, x: Any, path: Any, error: Any, factor: float, color: str) -> None:
    low, high = (path - BAND * error) / factor, (path + BAND * error) / factor
    axes.fill_between(x, low, high, color=color, alpha=0.2, lw=0, zorder=0.5)
