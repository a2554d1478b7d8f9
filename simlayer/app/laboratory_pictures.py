"""Pictures of tests on specimens: load curves and fields, measured, fitted and their difference."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from simlayer.app.plots import COLORS
from simlayer.laboratory.displacement_test import DisplacementTest
from simlayer.laboratory.load_test import LoadTest
from simlayer.laboratory.pressure_volume_test import PressureVolumeTest


def curve_picture(
    test: LoadTest | PressureVolumeTest,
    residuals: Float[Tensor, "n"],
    *,
    labels: tuple[str, str],
    shown: Mapping[str, tuple[float, str]],
) -> Figure:
    """Draw a measured curve, the fitted one, and below them the residuals.

    Args:
        test: the test.
        residuals: simulated minus measured values.
        labels: what the amounts and the values are.
        shown: a factor and a name of each SI unit, in which it is drawn.
    """
    (across, x_unit), (up, y_unit) = shown[test.amount_unit], shown[test.unit]
    x, measured = across * test.amounts.cpu(), up * test.observed.cpu()
    residual = up * residuals.cpu().masked_fill(test.observed.isnan().cpu(), float("nan"))
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot(x, measured, "k.", label="measured")
    upper.plot(x, measured + residual, "-", lw=1.5, label="fitted")
    upper.set(title=test.name, ylabel=f"{labels[1]} [{y_unit}]")
    upper.legend(frameon=False)
    lower.axhline(0.0, color="0.5", lw=1)
    lower.plot(x, residual, ".-", lw=0.8, color="C0")
    lower.set(xlabel=f"{labels[0]} [{x_unit}]", ylabel=f"residual [{y_unit}]")
    for axis in (upper, lower):
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def displacement_picture(test: DisplacementTest, residuals: Float[Tensor, "K 3"]) -> Figure:
    """Draw the sizes of measured and fitted displacements and of the residuals over the points that count.

    A rigid motion that is unknown, too, is part of the fitted ones.
    """
    counts = (test.weights > 0).flatten()
    observed, left = test.observed[counts], (residuals[counts] / test.weights[counts])
    missing = observed.isnan()
    measured, fitted, left = (
        1e3 * part.masked_fill(missing, 0.0).norm(dim=-1).cpu().numpy()
        for part in (observed, observed + left, left)
    )
    rest = 1e3 * test.points[counts.cpu()].cpu().numpy()
    across, up = sorted(np.argsort(np.ptp(rest, 0))[1:])
    figure = Figure(figsize=(13, 4), layout="constrained")
    axes = figure.subplots(1, 3, sharex=True, sharey=True)
    scale = Normalize(0.0, float(max(measured.max(), fitted.max())) or 1.0)
    own = Normalize(0.0, float(left.max()) or 1.0)
    for axis, title, values, norm in zip(
        axes, ("measured", "fitted", "residual"), (measured, fitted, left), (scale, scale, own), strict=True
    ):
        axis.scatter(rest[:, across], rest[:, up], c=COLORS(norm(values)), s=8)
        axis.set(title=f"{test.name}: {title}, up to {values.max():.3g} mm", xlabel=f"{'xyz'[across]} [mm]")
        axis.set_aspect("equal")
    axes[0].set_ylabel(f"{'xyz'[up]} [mm]")
    figure.colorbar(ScalarMappable(scale, COLORS), ax=list(axes[:2])).set_label("displacement [mm]")
    figure.colorbar(ScalarMappable(own, COLORS), ax=axes[2]).set_label("size of the residual [mm]")
    return figure
