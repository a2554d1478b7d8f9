"""Pictures of points on a body at one time: where they were observed, and where they are simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simlayer.mesh.mesh import Mesh
from simlayer.plotting.arrays import Array, as_array, largest
from simlayer.plotting.body import draw_body, drawn_from
from simlayer.plotting.style import LINES, add_legend, styled
from simlayer.plotting.traces import COMPONENTS, checked_paths
from simlayer.plotting.units import choose_unit, round_length
from simlayer.quantities.objects import checked_names

# The largest displacement is drawn as this share of the body, if it is not larger anyway.
_DRAWN = 0.2

# Rings for what was observed, a cross in each for what was found, a plus for a guess.
_OBSERVED: dict[str, Any] = {"marker": "o", "ms": 8, "mfc": "none", "mew": 1.3, "ls": ""}
_FOUND: dict[str, Any] = {"marker": "x", "ms": 5.5, "mew": 1.5, "ls": ""}
_GUESS: dict[str, Any] = {"marker": "+", "ms": 7, "mew": 1.2, "ls": ""}


@styled
def marker_picture(
    mesh: Mesh,
    rest: Float[Array, "K 3"],
    observed: Float[Array, "K 3"],
    simulated: Mapping[str, Float[Array, "K 3"]],
    names: Sequence[str],
    **options: Any,
) -> Figure:
    """Draw a body at rest with the places of points on it, and the components of their displacements.

    Displacements that are small are drawn larger on the body, by a round factor that is written above it.

    Args:
        mesh: the body.
        rest: the points at rest [m].
        observed: their displacements as they were observed [m]; NaN where one was not seen.
        simulated: by title [m]: what was found is the last, all before are guesses.
        names: of the points.
        options: as for `draw_body`, such as `fixed`.
    """
    labels = checked_names("names", names, ordered=True)
    shape = (len(labels), 3)
    starts, seen = as_array("rest", rest, *shape), as_array("observed", observed, *shape)
    ends = checked_paths("simulated", simulated, shape)
    _, view = drawn_from(mesh, options.get("obstacles", ()), options.get("view"))
    size = float(np.ptp(as_array("vertices", mesh.vertices, None, 3), axis=0).max())
    longest = largest(seen, *ends.values())
    times = max(1.0, round_length(_DRAWN * size / longest)) if longest else 1.0
    figure = Figure(figsize=(max(10.0, 6.0 + 0.9 * len(labels)), 3.8))
    body, right = figure.subplots(1, 2, width_ratios=(5, 4))
    kinds = [("observed", seen, LINES[7], _OBSERVED)]
    for number, (title, moved) in enumerate(ends.items(), 1):
        color, style = (LINES[1], _FOUND) if number == len(ends) else (LINES[0], _GUESS)
        kinds.append((title, moved, color, style))
    everything = starts + times * np.stack([np.zeros_like(seen), seen, *ends.values()])
    draw_body(body, mesh, around=everything, **options)
    for _, moved, color, style in kinds:
        ways = view.project(np.stack([starts, starts + times * moved], 1))
        body.plot(*ways.transpose(2, 1, 0), color=color, lw=0.6, ls=":", zorder=4)
        body.plot(*ways[:, 1].T, color=color, zorder=5, **style)
    magnified = f"displacements {times:.6g} times as large" if times > 1 else "displacements to scale"
    body.set_title(f"the body at rest, {magnified}")
    _draw_components(right, kinds, labels, longest)
    handles = [Line2D([], [], color=color, **style) for _, _, color, style in kinds]
    bars = [Line2D([], [], color=color, lw=3) for color in COMPONENTS]
    add_legend(figure, [*handles, *bars], [*(title for title, *_ in kinds), *"xyz"])
    return figure


def _draw_components(axes: Axes, kinds: Any, names: Sequence[str], longest: float) -> None:
    """Draw the three components of each point beside each other, in the colours of x, y and z."""
    factor, unit = choose_unit(longest, "m")
    for j, color in enumerate(COMPONENTS):
        x = np.arange(len(names)) + 0.22 * (j - 1)
        for _, moved, _, style in kinds:
            axes.plot(x, moved[:, j] / factor, color=color, **style)
    axes.axhline(0.0, color="0.75", lw=0.8, zorder=0)
    axes.set_xticks(np.arange(len(names)), names, rotation=0 if len(names) <= 5 else 60)
    axes.set(ylabel=f"displacement [{unit}]", xlim=(-0.5, len(names) - 0.5))
