"""Pictures of an identification, for a page or a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

COLORS = matplotlib.colormaps["YlOrRd"]


def convergence_picture(
    path: Path, losses: Sequence[float], values: Mapping[str, Sequence[float]], reference: Mapping[str, float]
) -> None:
    """The loss, and every quantity with its reference, over the simulations run."""
    figure = Figure(figsize=(4 * (1 + len(values)), 3), layout="constrained")
    axes = figure.subplots(1, 1 + len(values), squeeze=False)[0]
    numbers = np.arange(1, len(losses) + 1)
    for axis, (label, series) in zip(axes, {"loss": losses, **values}.items(), strict=True):
        axis.plot(numbers, series, "o-", markersize=3)
        if label in reference:
            axis.axhline(reference[label], color="0.5", linestyle="--", label="reference", zorder=0)
            axis.legend(frameon=False)
        else:
            axis.set_yscale("log")
        axis.set(title=label, xlabel="simulations")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def body_picture(
    path: Path,
    bodies: Mapping[str, Float[Tensor, "N 3"]],
    target: Float[Tensor, "N 3"],
    boundary: Int[Tensor, "S 3"],
) -> None:
    """Bodies by title, coloured by their distance to the target, whose edges are drawn over each."""
    distances = {title: 1e3 * (positions - target).norm(dim=1) for title, positions in bodies.items()}
    scale = Normalize(0, max(float(distance.max()) for distance in distances.values()))
    figure = Figure(figsize=(5 * len(bodies) + 0.8, 3), layout="constrained")
    axes = figure.subplots(1, len(bodies), squeeze=False, sharex=True, sharey=True)[0]
    for axis, (title, positions) in zip(axes, bodies.items(), strict=True):
        colors = COLORS(scale(distances[title][boundary].mean(1).numpy()))
        _draw(axis, positions[boundary].numpy(), target[boundary].numpy(), colors)
        axis.set_title(f"{title}, up to {distances[title].max():.2g} mm from the target (lines)")
    bar = figure.colorbar(ScalarMappable(scale, COLORS), ax=list(axes), shrink=0.8)
    bar.set_label("distance to the target [mm]")
    figure.savefig(path, dpi=150)


def _draw(
    axis: Axes,
    triangles: Float[np.ndarray, "S 3 3"],
    target: Float[np.ndarray, "S 3 3"],
    colors: Float[np.ndarray, "S 4"],
) -> None:
    visible, points, light = _seen(triangles)
    colors = colors[visible] * np.append(np.repeat(light[:, None], 3, 1), np.ones((len(light), 1)), 1)
    axis.add_collection(PolyCollection(list(points), facecolors=colors, edgecolors=colors, linewidths=0.5))
    _, points, _ = _seen(target)
    loops = points[:, [0, 1, 2, 0]]
    axis.add_collection(LineCollection(list(loops), colors="black", linewidths=0.4))
    axis.set_aspect("equal")
    axis.set_axis_off()
    axis.autoscale_view()


def _seen(
    triangles: Float[np.ndarray, "S 3 3"],
) -> tuple[Int[np.ndarray, "V"], Float[np.ndarray, "V 3 2"], Float[np.ndarray, "V"]]:
    """Triangles that face the viewer, far ones first: their indices, corners on the page, and brightness."""
    azimuth, elevation = math.radians(-55), math.radians(22)
    right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    towards = np.array([math.cos(azimuth), math.sin(azimuth), 0.0]) * math.cos(elevation)
    towards[2] = math.sin(elevation)
    up = np.cross(towards, right)
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    order = np.argsort(triangles.mean(1) @ towards)
    visible = order[(normals @ towards)[order] > 0]
    light = 0.75 + 0.25 * (normals[visible] @ np.array([0.0, 0.0, 1.0])).clip(0)
    return visible, triangles[visible] @ np.stack([right, up], 1), light
