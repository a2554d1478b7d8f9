"""The picture of how a fit has converged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from simlayer.plotting.arrays import as_array, largest
from simlayer.plotting.style import KNOWN, styled
from simlayer.plotting.units import choose_unit, label

# In a row.
_COLUMNS = 4


@styled
def convergence_picture(
    losses: Sequence[float],
    values: Mapping[str, Sequence[float]],
    reference: Mapping[str, float] | None = None,
    *,
    units: Mapping[str, str] | None = None,
) -> Figure:
    """Draw the loss, on a logarithmic scale if it is positive, and every quantity over the epochs.

    Args:
        losses: one for each epoch.
        values: of each quantity, by name, for as many epochs.
        reference: the true values by the same names, where they are known.
        units: of the quantities by the same names; numbers are shown in multiples of them.
    """
    loss = as_array("losses", losses, None)
    series = {name: as_array(f"values[{name!r}]", each, len(loss)) for name, each in values.items()}
    known, units = reference or {}, units or {}
    count = 1 + len(series)
    columns = min(count, _COLUMNS)
    rows = -(-count // columns)
    figure = Figure(figsize=(3.4 * columns, 2.7 * rows))
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat[count:]:
        axes.set_axis_off()
    epochs = np.arange(len(loss))
    for axes, (name, each) in zip(panels.flat, {"loss": loss, **series}.items(), strict=False):
        truth = np.array([known[name]] if name in known and axes is not panels.flat[0] else [])
        factor, unit = choose_unit(largest(each, truth), units.get(name, ""))
        axes.plot(epochs, each / factor, "o-", ms=3.5)
        for true in truth / factor:
            axes.axhline(true, color=KNOWN, ls="--", lw=1.2, label="sought", zorder=3)
            axes.legend()
        axes.set(title=label(name, unit), xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    first = panels.flat[0]
    if np.nanmin(loss) > 0:  # that of a likelihood may be negative
        first.set_yscale("log")
    return figure
