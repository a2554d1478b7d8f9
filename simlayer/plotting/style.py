"""How pictures look: fonts, colours, and legends that fit. No global state of Matplotlib is changed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import matplotlib
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.rcsetup import cycler

P = ParamSpec("P")
T = TypeVar("T")

# Told apart by the colour-blind (Okabe, Ito 2008, "Color Universal Design"), without its yellow, which is too
# pale for a line.
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7A5C00", "#000000")

# Of a field, and of an error, which is pale at zero. Their lightness runs one way, so that they can be read
# without colours, too.
FIELD, ERROR = "viridis", "YlOrRd"
# What has a sign, white at zero.
SIGNED = "PuOr_r"

# A body without a field, what is fixed, an obstacle, a rest shape, what is known.
BODY, FIXED, OBSTACLE, REST, KNOWN = "#B9C6D8", "#222222", "#A89F91", "#444444", "#777777"

STYLE: dict[Any, Any] = {
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "figure.titlesize": 10.0,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-4, 6),
    "axes.formatter.use_mathtext": True,
    "axes.prop_cycle": cycler(color=LINES),
    "lines.linewidth": 1.4,
    "lines.markersize": 4.0,
    "figure.constrained_layout.use": True,
}


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Return a function that draws in the style of this package, and leaves all settings as they were."""

    @functools.wraps(draw)
    def drawing(*args: P.args, **kwargs: P.kwargs) -> T:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawing


def add_legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> Legend:
    """Add a legend below all panels, in as many columns as fit into the width of the figure."""
    columns = len(labels)
    while True:
        legend = figure.legend(handles, labels, loc="outside lower center", ncols=columns)
        figure.draw_without_rendering()
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return legend
        legend.remove()
        columns -= 1
