"""Pictures of numbers over time, such as energies and forces."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from simlayer.plotting.arrays import Array, as_array, largest
from simlayer.plotting.style import styled
from simlayer.plotting.traces import checked_paths
from simlayer.plotting.units import choose_unit, label


@styled
def series_picture(
    times: Float[Array, "T"],
    panels: Mapping[str, tuple[str, str, Mapping[str, Float[Array, "T"]]]],
) -> Figure:
    """Draw numbers over time, a panel for each quantity, with a legend beside it.

    Args:
        times: [s].
        panels: by title, what is drawn, its unit, and the series by their names. One that is called "sum" is
            drawn in black dashes.
    """
    seconds = as_array("times", times, None)
    clock, second = choose_unit(float(np.nanmax(np.abs(seconds))), "s")
    figure = Figure(figsize=(5.2 * len(panels), 3.2))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, (quantity, unit, given)) in zip(axes, panels.items(), strict=True):
        series = checked_paths("panels", given, (len(seconds),))
        factor, shown = choose_unit(largest(*series.values()), unit)
        for name, values in series.items():
            style = {"color": "black", "ls": "--", "lw": 1.0, "zorder": 3} if name == "sum" else {}
            axis.plot(seconds / clock, values / factor, label=name, **style)
        axis.set(title=title, xlabel=f"time [{second}]", ylabel=label(quantity, shown))
        # Beside the curves, which it would cover.
        axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
