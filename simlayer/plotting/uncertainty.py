"""The picture of a fit's uncertainty: every pair of parameters with its ellipses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from simlayer.plotting.arrays import Array, as_array
from simlayer.plotting.style import KNOWN, LINES, add_legend, styled
from simlayer.plotting.units import choose_unit, label
from simlayer.quantities.objects import checked_names

# Radii of the ellipses that hold 68 % and 95 % of a normal distribution of two variables.
RADII = {"68 %": 1.515, "95 %": 2.448}
# A value whose standard error is a smaller share of it is drawn as a difference from a round number.
_CLOSE = 2e-3


class Scaled(NamedTuple):
    """A parameter as it is drawn: its label, and the shift and factor of its numbers."""

    label: str
    shift: float
    factor: float

    def __call__(self, value: Any) -> Any:
        return (value - self.shift) / self.factor


@styled
def uncertainty_picture(
    names: Sequence[str],
    values: Float[Array, "P"],
    covariance: Float[Array, "P P"],
    *,
    units: Sequence[str] | None = None,
    reference: Sequence[float | None] | None = None,
) -> Figure:
    """Draw the normal distribution of each parameter, and below it the ellipses of each pair.

    Args:
        names: of the parameters.
        values: what was found.
        covariance: of the values, with a positive diagonal.
        units: of the parameters.
        reference: true values, drawn as dashed lines; None where they are not known.

    Raises:
        ValueError: if shapes do not fit, or a variance is not positive.
    """
    labels = checked_names("names", names, ordered=True)
    count = len(labels)
    found, spread = as_array("values", values, count), as_array("covariance", covariance, count, count)
    if not (spread.diagonal() > 0).all():
        raise ValueError(f"covariance must have a positive diagonal, got {spread.diagonal().tolist()}.")
    known = list(reference) if reference is not None else [None] * count
    sigma = np.sqrt(spread.diagonal())
    shown = [
        _scaled(name, unit, *numbers)
        for name, unit, *numbers in zip(labels, units or [""] * count, found, sigma, known, strict=True)
    ]
    factors = np.array([each.factor for each in shown])
    centre = np.array([each(value) for each, value in zip(shown, found, strict=True)])
    truth = [None if true is None else each(true) for each, true in zip(shown, known, strict=True)]
    figure = Figure(figsize=(2.5 * count + 0.8, 2.3 * count + 0.6))
    axes: Any = figure.subplots(count, count, squeeze=False, sharex="col")
    for row, column in np.ndindex(count, count):
        axis, pair = axes[row, column], [column, row]
        if column > row:
            axis.set_axis_off()
            continue
        if column == row:
            _draw_density(axis, float(centre[row]), float(sigma[row] / factors[row]))
        else:
            scaled = spread / factors / factors[:, None]
            _draw_ellipses(axis, centre[pair], scaled[np.ix_(pair, pair)])
        _draw_truth(axis, truth[column], truth[row] if column < row else None)
        axis.xaxis.set_major_locator(MaxNLocator(3))
        axis.yaxis.set_major_locator(MaxNLocator(4) if column < row else NullLocator())
    for k, each in enumerate(shown):
        axes[-1, k].set_xlabel(each.label)
        if k:
            axes[k, 0].set_ylabel(each.label)
    figure.align_labels()
    _add_legend(figure, known=any(true is not None for true in truth))
    return figure


def _scaled(name: str, unit: str, value: float, sigma: float, true: float | None) -> Scaled:
    """Return a parameter in a multiple of its unit, close ones as differences from a round number."""
    size = max(abs(value), abs(true or 0.0))
    if not size or sigma > _CLOSE * size:
        factor, shown = choose_unit(size, unit)
        return Scaled(label(name, shown), 0.0, factor)
    # The true value, or the value that was found, rounded to its standard error.
    digits = math.ceil(-math.log10(sigma)) if sigma > 0 else 0
    centre = true if true is not None else round(value, max(digits - 1, 0) if digits > 0 else digits)
    reach = max(abs(value - centre), 3 * sigma)
    factor, shown = choose_unit(reach, unit)
    big, big_unit = choose_unit(centre, unit)
    if not 1e-2 <= reach / factor < 1e4:  # a unit that has no such multiple
        power = math.floor(math.log10(reach))
        factor, shown = 10.0**power, f"$10^{{{power}}}$ {unit}".removesuffix(" 1").strip()
    difference = label(f"{centre / big:.7g}", big_unit).replace("[", "").replace("]", "")
    return Scaled(label(f"{name}\nless {difference}", shown), centre, factor)


def _draw_truth(axis: Axes, across: float | None, up: float | None) -> None:
    if across is not None:
        axis.axvline(across, color=KNOWN, linestyle="--", linewidth=1.0)
    if up is not None:
        axis.axhline(up, color=KNOWN, linestyle="--", linewidth=1.0)


def _draw_density(axis: Axes, value: float, error: float) -> None:
    x = np.linspace(-4, 4, 201)
    axis.plot(value + error * x, np.exp(-(x**2) / 2))
    axis.spines["left"].set_visible(False)


def _draw_ellipses(axis: Axes, centre: Float[np.ndarray, "2"], covariance: Float[np.ndarray, "2 2"]) -> None:
    angles = np.linspace(0, 2 * math.pi, 121)
    lengths, directions = np.linalg.eigh(covariance)
    shape = directions * np.sqrt(lengths.clip(0)) @ np.stack([np.cos(angles), np.sin(angles)])
    for style, radius in zip(("-", ":"), RADII.values(), strict=True):
        axis.plot(*(centre[:, None] + radius * shape), style, color=LINES[0])
    axis.plot(*centre, "+", color=LINES[0], ms=6)


def _add_legend(figure: Figure, *, known: bool) -> None:
    handles = [Line2D([], [], color=LINES[0], ls=style) for style in ("-", ":")]
    titles = list(RADII)
    if known:
        handles.append(Line2D([], [], color=KNOWN, ls="--", lw=1.0))
        titles.append("sought")
    add_legend(figure, handles, titles)
