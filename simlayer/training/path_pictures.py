"""Pictures of how points moved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor


def path_picture(
    times: Float[Tensor, "T"],
    seen: Float[Tensor, "T K 3"],
    simulated: Mapping[str, Float[Tensor, "T K 3"]],
    names: Sequence[str],
) -> Figure:
    """Displacements [m] over time [s], one panel a marker: dots where it was seen, a line per simulation.

    At a single time, dots too.
    """
    found, guess = (
        ({"lw": 1.2}, {"lw": 0.8, "ls": ":"}) if len(times) > 1 else ({"marker": "+"}, {"marker": "x"})
    )
    columns = len(names) if len(names) <= 3 else math.ceil(math.sqrt(len(names)))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4.5 * columns, 2.8 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    *others, last = simulated
    for k, (name, axis) in enumerate(zip(names, axes.flat, strict=False)):
        for j, component in enumerate("xyz"):
            color = f"C{j}"
            axis.plot(times, 1e3 * seen[:, k, j], ".", color=color, markersize=4, label=f"{component}, seen")
            axis.plot(
                times, 1e3 * simulated[last][:, k, j], color=color, label=f"{component}, {last}", **found
            )
            for title in others:
                path = 1e3 * simulated[title][:, k, j]
                axis.plot(times, path, color=color, label=f"{component}, {title}", **guess)
        axis.set_title(name, fontsize="medium")
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    for axis in axes[-1]:
        axis.set_xlabel("time [s]")
    for axis in axes[:, 0]:
        axis.set_ylabel("displacement [mm]")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize="small"
    )
    return figure
