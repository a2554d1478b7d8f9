"""The picture of a fit's uncertainty: every pair of parameters with its ellipses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

# Radii of the ellipses that hold 68 % and 95 % of a normal distribution of two variables.
RADII = {"68 %": 1.515, "95 %": 2.448}


def corner_picture(
    path: Path,
    labels: Sequence[str],
    values: Float[Tensor, "P"],
    covariance: Float[Tensor, "P P"],
    reference: Sequence[float | None],
) -> None:
    """Draw the normal distribution of each parameter, and below it the ellipses of each pair.

    Known true values are dashed lines.
    """
    count = len(labels)
    figure = Figure(figsize=(2.6 * count + 0.6, 2.4 * count + 0.4), layout="constrained")
    axes = figure.subplots(count, count, squeeze=False)
    for row in range(count):
        for column in range(count):
            axis = axes[row, column]
            if column > row:
                axis.set_axis_off()
                continue
            if column == row:
                _draw_density(axis, float(values[row]), float(covariance[row, row]) ** 0.5)
            else:
                pair = [column, row]
                _draw_ellipses(axis, values[pair], covariance[pair][:, pair])
                if (known := reference[row]) is not None:
                    axis.axhline(known, color="0.5", linestyle="--", linewidth=0.8)
            if (known := reference[column]) is not None:
                axis.axvline(known, color="0.5", linestyle="--", linewidth=0.8)
            axis.spines[["top", "right"]].set_visible(False)
            axis.tick_params(labelsize="x-small")
            axis.xaxis.set_major_locator(MaxNLocator(3))
            if row == count - 1:
                axis.set_xlabel(labels[column])
            if column == 0 and row:
                axis.set_ylabel(labels[row])
    figure.draw_without_rendering()  # which chooses ticks
    for axis in axes.flat:
        _move_offset_to_label(axis.xaxis)
        _move_offset_to_label(axis.yaxis)
    figure.savefig(path, dpi=150)


def _move_offset_to_label(axis: Axis) -> None:
    """Write what the ticks of an axis leave out, such as +1e5, below its name instead of across it."""
    offset = axis.get_major_formatter().get_offset()
    axis.get_offset_text().set_visible(False)
    if offset and axis.get_label_text():
        axis.set_label_text(f"{axis.get_label_text()}\n({offset})")


def _draw_density(axis: Axes, value: float, error: float) -> None:
    x = np.linspace(-4, 4, 201)
    axis.plot(value + error * x, np.exp(-(x**2) / 2))
    axis.set_yticks([])


def _draw_ellipses(axis: Axes, center: Float[Tensor, "2"], covariance: Float[Tensor, "2 2"]) -> None:
    angles = torch.linspace(0, 2 * math.pi, 121, dtype=covariance.dtype)
    circle = torch.stack([angles.cos(), angles.sin()])
    lengths, directions = torch.linalg.eigh(covariance)
    shape = directions * lengths.clamp(min=0).sqrt() @ circle
    for style, (label, radius) in zip(("-", ":"), RADII.items(), strict=True):
        x, y = (center[:, None] + radius * shape).numpy()
        axis.plot(x, y, style, color="C0", label=label)
    axis.plot(*center.tolist(), "+", color="C0")
