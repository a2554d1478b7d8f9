"""The picture of how gradients grow or fade on their way back through a rollout."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from simlayer.plotting.style import styled
from simlayer.rollout.adjoints import GradientNorms


@styled
def gradient_picture(norms: GradientNorms, *, title: str = "") -> Figure:
    """Draw the norms of gradients over the time before the end, a line per sample, on a logarithmic scale.

    They are over those at the end. The time is shaded for which they are informative, see
    `GradientNorms.horizon`. A norm of zero is not drawn.
    """
    figure = Figure(figsize=(10, 3.2))
    before = (norms.times - norms.times[-1]).cpu().numpy()
    horizon = norms.horizon()
    parts = {"positions": norms.positions, "velocities": norms.velocities}
    for axis, (name, part) in zip(figure.subplots(1, 2, sharex=True), parts.items(), strict=True):
        lines = part.detach().cpu().double().reshape(len(before), -1).numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(lines > 0, lines / lines[-1], np.nan)
        axis.semilogy(before, np.where(np.isfinite(ratios), ratios, np.nan), lw=1.0)
        axis.axvspan(-horizon, 0.0, color="0.92", zorder=0, label=f"informative: {horizon:.3g} s")
        axis.set(title=f"derivative by {name}", xlabel="time before the end [s]")
    figure.axes[0].set_ylabel("norm over that at the end")
    figure.axes[0].legend()
    figure.suptitle(title or f"{norms.largest_growth():.3g} per second backward")
    return figure
