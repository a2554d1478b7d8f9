"""Pictures of the curves of tests: measured, fitted with a band of 95 %, and what is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simlayer.plotting.arrays import Array, as_array, largest
from simlayer.plotting.style import LINES, add_legend, styled
from simlayer.plotting.units import choose_unit
from simlayer.plotting.units import label as axis_label
from simlayer.quantities.objects import checked_instance

# In a normal distribution, 95 % are within so many standard errors.
BAND = 1.96
# The largest half-width of a band, in sizes of its line: one that is wider says that nothing is known.
_WIDEST = 2.0


@styled
def draw_measured(axes: Axes, x: Float[Array, "n"], y: Float[Array, "n"], *, label: str = "measured") -> None:
    """Draw measured points as dots, below all lines; NaN says that one is missing."""
    checked_instance("axes", axes, Axes)
    across = as_array("x", x, None)
    up = as_array("y", y, len(across))
    size = 5.0 if len(across) < 60 else 3.0
    axes.plot(
        across, up, "o", color="0.45", ms=size, mew=0, zorder=1.5, label=checked_instance("label", label, str)
    )


@styled
def draw_fitted(
    axes: Axes,
    x: Float[Array, "n"],
    y: Float[Array, "n"],
    *,
    error: Float[Array, "n"] | None = None,
    label: str = "fitted",
    color: str = LINES[0],
) -> None:
    """Draw a fitted curve with its band of 95 %.

    Args:
        axes: to draw on.
        x, y: the curve; NaN leaves a gap.
        error: its standard errors; one that is NaN, for all that is not determined, gives a wide band.
        label: of the line, in a legend.
        color: of both.
    """
    checked_instance("axes", axes, Axes)
    across = as_array("x", x, None)
    up = as_array("y", y, len(across))
    axes.plot(across, up, "-", color=color, lw=1.5, zorder=2, label=checked_instance("label", label, str))
    if error is None:
        return
    size = _WIDEST * largest(up)
    half = BAND * as_array("error", error, len(across), infinite=True)
    half = np.minimum(np.nan_to_num(half, nan=size, posinf=size), size)
    axes.fill_between(
        across, up - half, up + half, color=color, alpha=0.25, lw=0, zorder=1, label="95 % band"
    )


@styled
def law_curves_picture(
    panels: Mapping[str, tuple[str, Float[Array, "n"], Mapping[str, Float[Array, "n"]]]],
) -> Figure:
    """Draw nominal stresses of laws along deformations: the first in lines, the others in dashes over it.

    Args:
        panels: by title, what the stresses are over, its numbers, and the stresses by the laws' names [Pa].
    """
    figure = Figure(figsize=(3.4 * len(panels), 3.2))
    for axes, (title, (over, given, stresses)) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        x = as_array("panels", given, None)
        curves = {name: as_array("panels", each, len(x)) for name, each in stresses.items()}
        factor, unit = choose_unit(largest(*curves.values()), "Pa")
        for k, (name, curve) in enumerate(curves.items()):
            style: dict[str, Any] = {"lw": 1.2, "ls": "--", "color": "black"} if k else {"lw": 2.0}
            axes.plot(x, curve / factor, label=name, **style)
        axes.set(title=title, xlabel=over, ylabel=axis_label("nominal stress", unit))
    handles, labels = figure.axes[0].get_legend_handles_labels()
    add_legend(figure, handles, labels)
    return figure


@styled
def curve_picture(
    amounts: Float[Array, "n"],
    measured: Float[Array, "n"],
    fitted: Float[Array, "n"],
    *,
    amount: tuple[str, str],
    value: tuple[str, str],
    error: Float[Array, "n"] | None = None,
    title: str = "",
) -> Figure:
    """Draw a measured curve over the fitted one, and below them what is left.

    Args:
        amounts: of what was done in the test, in its order.
        measured, fitted: the values; NaN where one was not measured.
        amount, value: names and units; values are shown in a multiple of theirs.
        error: standard errors of the fitted values, drawn as a band of 95 %.
        title: of the picture.
    """
    checked_instance("title", title, str)
    across = as_array("amounts", amounts, None)
    points, line = (as_array(n, v, len(across)) for n, v in (("measured", measured), ("fitted", fitted)))
    factor, unit = choose_unit(largest(points, line), value[1])
    points, line = points / factor, line / factor
    figure = Figure(figsize=(5.6, 4.8))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    draw_measured(upper, across, points)
    band = None if error is None else as_array("error", error, len(across), infinite=True) / factor
    draw_fitted(upper, across, line, error=band)
    upper.set(title=title, ylabel=axis_label(value[0], unit))
    upper.legend()
    lower.axhline(0.0, color=LINES[0], lw=1.5)
    lower.plot(across, points - line, "o", color="0.45", ms=3.5, mew=0)
    lower.set(xlabel=axis_label(*amount), ylabel=axis_label("residual", unit))
    figure.align_ylabels()
    return figure
