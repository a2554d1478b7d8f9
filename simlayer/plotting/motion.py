"""Pictures of a motion: several of its frames in one."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure

from simlayer.mesh.mesh import Mesh
from simlayer.plotting.arrays import Array, as_array
from simlayer.plotting.body import draw_body, draw_outline, drawn_from
from simlayer.plotting.coloring import body_part, mappable
from simlayer.plotting.frame import trim_height
from simlayer.plotting.style import FIELD, styled
from simlayer.plotting.surface import draw_shadow
from simlayer.plotting.units import choose_unit
from simlayer.quantities.arguments import checked_integer
from simlayer.quantities.arrays import described

# How solid the first frame is, and how solid all but the last may be.
_FAINT, _SOLID = 0.12, 0.4


@styled
def motion_picture(
    mesh: Mesh,
    positions: Float[Array, "T N 3"],
    times: Float[Array, "T"],
    *,
    count: int = 5,
    **options: Any,
) -> Figure:
    """Draw frames of a motion over each other in the colours of their times, all but the last faint.

    Args:
        mesh: the body.
        positions: of the vertices in every frame [m].
        times: of the frames [s].
        count: how many frames are drawn, at most, in equal numbers of frames from each other.
        options: as for `draw_body`, such as `fixed` or `obstacles`.
    """
    _, view = drawn_from(mesh, options.get("obstacles", ()), options.get("view"))
    seconds = as_array("times", times, None)
    if not (np.isfinite(seconds).all() and (np.diff(seconds) > 0).all()):
        raise ValueError(f"times must rise from frame to frame, got {described(times)}.")
    frames = as_array("positions", positions, len(seconds), len(mesh.vertices), 3)
    chosen = np.unique(np.linspace(0, len(frames) - 1, checked_integer("count", count, least=1)).round())
    chosen = chosen.astype(int) if count > 1 else np.array([len(frames) - 1])
    factor, unit = choose_unit(float(np.abs(seconds).max()), "s")
    scale = Normalize(float(seconds[0] / factor), float(seconds[-1] / factor))
    shown = mappable(scale, FIELD)
    figure = Figure(figsize=(6.4, 4.0))
    axes = figure.subplots()
    last = frames[chosen[-1]]
    of_time = np.full(len(mesh.vertices), seconds[chosen[-1]] / factor)
    drawn = draw_body(
        axes, mesh, last, **{"rest": False, **options}, around=frames[chosen], field=of_time, over="vertices",
        scale=scale,
    )  # fmt: skip
    for k, frame in enumerate(chosen[:-1]):
        surface = body_part(mesh, frames[frame], view, cut=False).surface
        alpha = _FAINT + (_SOLID - _FAINT) * k / max(len(chosen) - 2, 1)
        color = to_rgba(tuple(shown.to_rgba(seconds[frame] / factor)), alpha)
        zorder = 0.5 + 0.4 * k / len(chosen)
        draw_shadow(axes, surface, view, color, zorder=zorder)
        draw_outline(axes, surface, view, color=color[:3], width=0.9, style="-")
    assert drawn is not None
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, label=f"time [{unit}]")
    for frame in chosen:
        bar.ax.axhline(seconds[frame] / factor, color="white", lw=1.5)
    trim_height(figure, [[axes]])
    return figure
