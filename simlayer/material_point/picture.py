"""The picture of a fitted law: measured and computed stresses of every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from simlayer.material_point.curves import StressCurve
from simlayer.material_point.fitted_law import FittedLaw
from simlayer.material_point.predictions import BAND
from simlayer.quantities.objects import checked_instance

if TYPE_CHECKING:  # which takes long to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# At how many stretches a line is drawn, and the largest stress of its band, in those of the panel's line.
_POINTS, _TALLEST = 121, 2.0


def fit_picture(fit: FittedLaw) -> Figure:
    """Draw the nominal stress of every test over the stretch, with the law and its 95 % band.

    Standard tests that were not measured follow, as the law predicts them over the measured stretches.
    """
    from matplotlib.figure import Figure

    checked_instance("fit", fit, FittedLaw)
    predicted = [p for p in fit.predictions if not p.measured]
    count = len(fit.curves) + len(predicted)
    figure = Figure(figsize=(4 * count, 3.4), layout="constrained")
    axes = figure.subplots(1, count, squeeze=False)[0]
    for axis, curve in zip(axes, fit.curves, strict=False):
        _draw_curve(axis, fit, curve)
    for axis, prediction in zip(axes[len(fit.curves) :], predicted, strict=True):
        _draw_law(axis, prediction.stretch, prediction.stress, prediction.error)
        axis.set(title=f"{prediction.path}, not measured", xlabel="stretch")
    for axis in axes:
        axis.set_ylabel("nominal stress [kPa]")
        axis.legend(frameon=False, fontsize="small")
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_curve(axis: Axes, fit: FittedLaw, curve: StressCurve) -> None:
    offset = fit.values.get(f"{curve.name}.strain_offset", 0.0)
    stretch = curve.stretch - offset
    axis.plot(stretch, 1e-3 * curve.stress, "k.", ms=4, label="measured")
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
    low, high = float(stress.nan_to_num().min()), float(stress.nan_to_num().max())
    size = _TALLEST * max(abs(low), abs(high))
    band = (BAND * error).nan_to_num(posinf=size).clamp(max=size)
    axis.plot(stretch, 1e-3 * stress, lw=1.5, label="law")
    axis.fill_between(
        stretch, 1e-3 * (stress - band), 1e-3 * (stress + band), alpha=0.25, lw=0, label="95 % band"
    )
