"""Pictures of displacement fields that are measured at points, as by image correlation."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from simlayer.plotting.arrays import Array, as_array, largest
from simlayer.plotting.coloring import common_scale, mappable
from simlayer.plotting.frame import trim_height
from simlayer.plotting.style import ERROR, FIELD, styled
from simlayer.plotting.units import choose_unit, format_size
from simlayer.quantities.objects import checked_instance


@styled
def displacement_picture(
    points: Float[Array, "K 3"],
    measured: Float[Array, "K 3"],
    fitted: Float[Array, "K 3"],
    *,
    title: str = "",
) -> Figure:
    """Draw the sizes of measured and fitted displacements in the same colours, and of their differences.

    Points are drawn on the plane of their two largest extents.

    Args:
        points: at rest [m].
        measured: displacements [m]; a component that is NaN was not measured, and counts nowhere.
        fitted: displacements [m].
        title: of the first panel.
    """
    places = as_array("points", points, None, 3)
    shape = (len(places), 3)
    seen, found = as_array("measured", measured, *shape), as_array("fitted", fitted, *shape)
    missing = np.isnan(seen)
    parts = [np.where(missing, 0.0, each) for each in (seen, found, found - seen)]
    # Of a point of which nothing was measured there is nothing to see.
    sizes = [np.where(missing.all(1), np.nan, np.linalg.norm(each, axis=1)) for each in parts]
    across, up = sorted(np.argsort(np.ptp(places, 0))[1:])
    length, metre = choose_unit(float(np.ptp(places, 0).max()), "m")
    figure = Figure(figsize=(12, 4))
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    bars = []
    for axes, name, values, colors in zip(
        panels, ("measured", "fitted", "residual"), sizes, (FIELD, FIELD, ERROR), strict=True
    ):
        compared = sizes[:2] if colors == FIELD else [values]
        factor, unit = choose_unit(largest(*compared), "m")
        shown = mappable(common_scale(*(each / factor for each in compared), zero=True), colors)
        size = 10 if len(places) < 2000 else 3
        place = places[:, [across, up]].T / length
        axes.scatter(*place, c=shown.to_rgba(values / factor), s=size, linewidths=0, rasterized=True)
        axes.set(
            title=f"{name}, up to {format_size(largest(values), 'm')}", xlabel=f"{'xyz'[across]} [{metre}]"
        )
        axes.set_aspect("equal")
        bars.append((shown, unit))
    panels[0].set_ylabel(f"{'xyz'[up]} [{metre}]")
    figure.colorbar(bars[0][0], ax=list(panels[:2]), label=f"displacement [{bars[0][1]}]")
    figure.colorbar(bars[2][0], ax=panels[2], label=f"size of the residual [{bars[2][1]}]")
    if checked_instance("title", title, str):
        figure.suptitle(title)
    trim_height(figure, [list(panels)])
    return figure
