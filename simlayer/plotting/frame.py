"""The frame of a picture in space: equal scales, the axes x, y and z, and a bar of a round length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simlayer.plotting.units import choose_unit, round_length
from simlayer.plotting.view import View

# In sizes of the picture: its margin, the room below for the marks, an arrow, and the longest bar.
_MARGIN, _BELOW, _ARROW, _BAR = 0.03, 0.2, 0.09, 0.28
_BLACK = "#222222"
# A picture in space is not higher than this, and its figure not narrower [inch].
_TALLEST, _NARROWEST = 4.2, 4.5


def frame_points(axes: Axes, view: View, points: Float[np.ndarray, "N 3"], *, marks: bool = True) -> None:
    """Choose limits of axes that hold all points, with equal scales, and mark directions and lengths in them.

    Args:
        axes: to draw on.
        view: from where.
        points: what must be seen [m]; NaN is left out.
        marks: whether x, y, z and the bar are drawn below the points.
    """
    places = view.project(points[np.isfinite(points).all(1)])
    low, high = places.min(0), places.max(0)
    size = float((high - low).max()) or 1.0
    axes.set_aspect("equal")
    axes.set_anchor("N")
    axes.set_axis_off()
    axes.set_xlim(low[0] - _MARGIN * size, high[0] + _MARGIN * size)
    axes.set_ylim(low[1] - (_BELOW if marks else _MARGIN) * size, high[1] + _MARGIN * size)
    if marks:
        base = low[1] - (_BELOW - 0.05) * size
        _draw_axes(axes, view, np.array([low[0] + 0.03 * size, base]), _ARROW * size)
        _draw_bar(axes, np.array([high[0], base]), round_length(_BAR * size), size)


def trim_height(figure: Figure, rows: Sequence[Sequence[Axes]]) -> None:
    """Give pictures in space equal scales, and choose the size of their figure so that they fill it.

    Args:
        figure: with all that it has beside the pictures.
        rows: the pictures, row by row; they are the whole grid of subplots.
    """
    across = _union([axes.get_xlim() for row in rows for axes in row])
    for row in rows:
        upwards = _union([axes.get_ylim() for axes in row])
        for axes in row:
            axes.set(xlim=across, ylim=upwards)
    spec = rows[0][0].get_subplotspec()
    if spec is not None:
        spec.get_gridspec().set_height_ratios([float(np.ptp(row[0].get_ylim())) for row in rows])
    width, _ = figure.get_size_inches()
    height = _TALLEST * len(rows) + 1.0
    figure.set_size_inches(width, height)
    figure.draw_without_rendering()  # which places the pictures
    unused = [row[0].get_position(original=True).height - row[0].get_position().height for row in rows]
    empty = [axes.get_position(original=True).width - axes.get_position().width for axes in rows[0]]
    figure.set_size_inches(max(width * (1 - sum(empty)), _NARROWEST), height * (1 - sum(unused)))


def _union(limits: list[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in limits), max(high for _, high in limits)


def _draw_axes(axes: Axes, view: View, origin: Float[np.ndarray, "2"], length: float) -> None:
    """Draw x, y and z as arrows, one that points along the view as a dot."""
    for name, direction in zip("xyz", np.eye(3), strict=True):
        tip = view.project(direction) * length
        if np.linalg.norm(tip) < 0.15 * length:
            axes.plot(*origin, "o", ms=3, color=_BLACK)
            tip = np.array([-0.35, -0.35]) * length
        else:
            arrow = {"arrowstyle": "-|>", "color": _BLACK, "lw": 0.9, "shrinkA": 0, "shrinkB": 0}
            ends = tuple(origin + tip), tuple(origin)
            axes.annotate("", *ends, arrowprops={**arrow, "mutation_scale": 7})
        x, y = origin + tip + 0.28 * length * tip / np.linalg.norm(tip)
        axes.text(x, y, name, ha="center", va="center", fontsize=8, color=_BLACK)


def _draw_bar(axes: Axes, end: Float[np.ndarray, "2"], length: float, size: float) -> None:
    """Draw a bar of a length, and say how long it is, in the unit of the size of the whole picture."""
    factor, unit = choose_unit(size, "m")
    start = end - np.array([length, 0.0])
    (bar,) = axes.plot(*np.stack([start, end], 1), "-", lw=2.5, color=_BLACK, solid_capstyle="butt")
    bar.set_gid("scale bar")
    text = f"{length / factor:.6g} {unit}"
    across, up = (start + end) / 2
    axes.annotate(
        text, (across, up), (0, 3), textcoords="offset points", ha="center", va="bottom", fontsize=8
    )
