"""Pictures of what networks have learned: ways of policies, and predicted values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from simlayer.plotting.arrays import Array, as_array, largest
from simlayer.plotting.style import KNOWN, LINES, add_legend, styled
from simlayer.plotting.traces import checked_paths
from simlayer.plotting.units import choose_unit, label
from simlayer.quantities.arguments import checked_integer

# So many ways are told apart.
_WAYS = len(LINES)


@styled
def reach_picture(
    times: Float[Array, "F"], ways: Float[Array, "F B 3"], goals: Float[Array, "B 3"]
) -> Figure:
    """Draw the ways of a point to its first goals, from two sides, and all distances over time.

    Args:
        times: [s].
        ways: where the point is at each time, on its way to each goal [m].
        goals: [m].
    """
    seconds, targets = as_array("times", times, None), as_array("goals", goals, None, 3)
    places = as_array("ways", ways, len(seconds), len(targets), 3)
    factor, unit = choose_unit(largest(places, targets), "m")
    clock, second = choose_unit(float(seconds.max()), "s")
    figure = Figure(figsize=(12, 3.8))
    *sides, right = figure.subplots(1, 3)
    distances = np.linalg.norm(places - targets, axis=2) / factor
    right.plot(seconds / clock, distances, color="0.8", lw=0.6, zorder=1)
    for k, goal in enumerate(targets[:_WAYS] / factor):
        color = LINES[k]
        for axes, pair in zip(sides, ([0, 2], [1, 2]), strict=True):
            way = places[:, k][:, pair] / factor
            axes.plot(*way.T, color=color, lw=0.9)
            axes.plot(*way[0], "o", color=color, ms=3)
            axes.plot(*goal[pair], "x", color=color, ms=6, mew=1.5)
        right.plot(seconds / clock, distances[:, k], color=color, lw=0.9)
    some = f" to {_WAYS} of {len(targets)} goals" if len(targets) > _WAYS else ""
    for axes, first, side in zip(sides, "xy", ("side", "end"), strict=True):
        axes.set(xlabel=f"{first} [{unit}]", ylabel=f"z [{unit}]", title=f"ways{some}, from the {side}")
        axes.set_aspect("equal", "datalim")
    right.set(xlabel=f"time [{second}]", ylabel=f"distance from the goal [{unit}]", ylim=(0, None))
    right.set_title("all, and these" if some else "what is left")
    handles = [sides[0].plot([], [], style, color="black", ms=5)[0] for style in ("o", "x")]
    add_legend(figure, handles, ["start", "goal"])
    return figure


@styled
def travel_picture(times: Float[Array, "F"], ways: Float[Array, "F B"], best: int) -> Figure:
    """Draw how far bodies have moved over time, and the best of them in colour.

    Args:
        times: [s].
        ways: of each body at each time [m].
        best: which of the bodies is the best.
    """
    seconds = as_array("times", times, None)
    moved = as_array("ways", ways, len(seconds), None)
    at = checked_integer("best", best, least=0, most=moved.shape[1] - 1)
    factor, unit = choose_unit(largest(moved), "m")
    figure = Figure(figsize=(5.6, 3.4))
    axes = figure.subplots()
    for k, way in enumerate(moved.T / factor):
        axes.plot(seconds, way, color="0.7", lw=0.9, label="the others" if k == (at == 0) else None)
    axes.plot(seconds, moved[:, at] / factor, "o-", ms=3.5, label="the best gait")
    axes.set(xlabel="time [s]", ylabel=f"way [{unit}]")
    axes.legend()
    return figure


@styled
def prediction_picture(
    truth: Mapping[str, Float[Array, "B"]],
    values: Mapping[str, Float[Array, "B"]],
    errors: Mapping[str, Float[Array, "B"]],
    *,
    units: Mapping[str, str] | None = None,
) -> Figure:
    """Draw predicted values with bars of one standard error over the true ones, a panel per quantity.

    Args:
        truth, values, errors: true values, predictions and their standard errors by the name of a quantity.
        units: by the same names.
    """
    known = checked_paths("truth", truth, (None,))
    figure = Figure(figsize=(4.0 * len(known), 3.6))
    panels: Any = figure.subplots(1, len(known), squeeze=False)[0]
    for axes, (name, true) in zip(panels, known.items(), strict=True):
        found, bars = (
            as_array(title, each[name], len(true)) for title, each in (("values", values), ("errors", errors))
        )
        factor, unit = choose_unit(largest(true), (units or {}).get(name, ""))
        axes.errorbar(true / factor, found / factor, yerr=bars / factor, fmt=".", lw=0.8)
        ends = np.array([true.min(), true.max()]) / factor
        axes.plot(ends, ends, color=KNOWN, ls="--", lw=1.2, zorder=3)
        if (true > 0).all() and (found > 0).all() and ends[1] > 5 * ends[0]:
            axes.set(xscale="log", yscale="log")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
                axis.set_major_formatter(ScalarFormatter())
                axis.set_minor_formatter(NullFormatter())
        axes.set(title=name, xlabel=label("true", unit), ylabel=label("predicted", unit))
    drawn = panels[0].containers[0]
    add_legend(figure, [drawn, panels[0].lines[-1]], ["predicted ± 1 standard error", "as true"])
    return figure
