"""The picture of a fitted law: measured and computed stresses of every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from simlayer.material_point.curves import StressCurve
from simlayer.material_point.fitted_law import FittedLaw
from simlayer.quantities.objects import checked_instance

if TYPE_CHECKING:  # which takes long to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# At how many stretches a line is drawn, and the unit of stresses [Pa].
_POINTS, _KPA = 121, 1e3


def fit_picture(fit: FittedLaw) -> Figure:
    """Draw the nominal stress of every test over the stretch, with the law and its 95 % band.

    Standard tests that were not measured follow, as the law predicts them over the measured stretches.
    """
    from simlayer.plotting.style import styled

    return styled(_drawn)(checked_instance("fit", fit, FittedLaw))


def _drawn(fit: FittedLaw) -> Figure:
    from matplotlib.figure import Figure

    predicted = [p for p in fit.predictions if not p.measured]
    count = len(fit.curves) + len(predicted)
    figure = Figure(figsize=(4 * count, 3.4))
    axes = figure.subplots(1, count, squeeze=False)[0]
    for axis, curve in zip(axes, fit.curves, strict=False):
        _draw_curve(axis, fit, curve)
    for axis, prediction in zip(axes[len(fit.curves) :], predicted, strict=True):
        _draw_law(axis, prediction.stretch, prediction.stress, prediction.error)
        axis.set(title=f"{prediction.path}, not measured", xlabel="stretch")
    for axis in axes:
        axis.set_ylabel("nominal stress [kPa]")
        axis.legend()
    return figure


def _draw_curve(axis: Axes, fit: FittedLaw, curve: StressCurve) -> None:
    from simlayer.plotting import draw_measured

    offset = fit.values.get(f"{curve.name}.strain_offset", 0.0)
    stretch = curve.stretch - offset
    draw_measured(axis, stretch, curve.stress / _KPA)
    ends = float(stretch.min()), float(stretch.max())
    rest = curve.path.rest
    line = torch.linspace(min(rest, ends[0]), max(rest, ends[1]), _POINTS, dtype=torch.float64)
    stress, error = (torch.from_numpy(part) for part in fit.predict(line, curve.path))
    _draw_law(axis, line, stress, error)
    label = "stretch" if rest == 1 else "strain"
    corrected = f", less an offset of {offset:.2g}" if offset else ""
    title = curve.name if curve.name == curve.path.name else f"{curve.name}: {curve.path.name}"
    axis.set(title=title, xlabel=label + corrected)


def _draw_law(axis: Axes, stretch: Tensor, stress: Tensor, error: Tensor) -> None:
    from simlayer.plotting import draw_fitted

    draw_fitted(axis, stretch, stress / _KPA, error=error / _KPA, label="law")
