"""Pictures of an identification, for a page or a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LightSource, Normalize
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection
from mpl_toolkits.mplot3d.axes3d import Axes3D
from torch import Tensor

COLORS = "viridis"


def convergence_picture(
    path: Path, losses: Sequence[float], values: Mapping[str, Sequence[float]], reference: Mapping[str, float]
) -> None:
    """The loss, and every quantity with its reference, over the simulations run."""
    figure = Figure(figsize=(4 * (1 + len(values)), 3), layout="constrained")
    axes = figure.subplots(1, 1 + len(values), squeeze=False)[0]
    count = np.arange(1, len(losses) + 1)
    axes[0].semilogy(count, losses, "o-", markersize=3)
    axes[0].set_title("loss")
    for axis, (label, series) in zip(axes[1:], values.items(), strict=True):
        axis.axhline(reference[label], color="0.5", linestyle="--", label="reference")
        axis.plot(count, series, "o-", markersize=3)
        axis.set_title(label)
        axis.legend(frameon=False)
    for axis in axes:
        axis.set_xlabel("simulations")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def body_picture(
    path: Path,
    bodies: Mapping[str, Float[Tensor, "N 3"]],
    target: Float[Tensor, "N 3"],
    boundary: Int[Tensor, "S 3"],
) -> None:
    """Bodies by title, coloured by their distance to the target, whose edges are drawn over each."""
    distances = [1e3 * (positions - target).norm(dim=1) for positions in bodies.values()]
    scale = Normalize(0, max(float(distance.max()) for distance in distances))
    everything = np.concatenate([target.numpy(), *(positions.numpy() for positions in bodies.values())])
    figure = Figure(figsize=(5.2 * len(bodies), 3.6), layout="constrained")
    axes = []
    for index, (title, positions) in enumerate(bodies.items()):
        axis = figure.add_subplot(1, len(bodies), index + 1, projection="3d")
        assert isinstance(axis, Axes3D)
        axes.append(axis)
        values = distances[index][boundary].mean(1).numpy()
        _draw(axis, positions.numpy()[boundary], scale(values), target.numpy()[boundary])
        _frame(axis, everything)
        axis.set_title(f"{title}: {distances[index].max():.2g} mm off at most", y=0.95)
    colors = ScalarMappable(scale, COLORS)
    figure.colorbar(colors, ax=axes, shrink=0.6, label="distance to the target [mm]")
    figure.savefig(path, dpi=150)


def _draw(
    axis: Axes3D,
    triangles: Float[np.ndarray, "S 3 3"],
    colors: Float[np.ndarray, "S"],
    target: Float[np.ndarray, "S 3 3"],
) -> None:
    faces = Poly3DCollection(
        list(triangles), facecolors=_colormap(colors), shade=True, lightsource=LightSource(300, 50)
    )
    axis.add_collection3d(faces)
    edges = np.concatenate([target[:, [0, 1]], target[:, [1, 2]]])
    axis.add_collection3d(Line3DCollection(list(edges), colors="black", linewidths=0.4))


def _colormap(values: Float[np.ndarray, "S"]) -> Float[np.ndarray, "S 4"]:
    return np.asarray(ScalarMappable(Normalize(0, 1), COLORS).to_rgba(values))


def _frame(axis: Axes3D, points: Float[np.ndarray, "P 3"]) -> None:
    low, high = points.min(0), points.max(0)
    axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    axis.set_box_aspect(high - low, zoom=1.3)
    axis.view_init(elev=20, azim=-60)
    axis.set_axis_off()
