"""Pictures of bodies, fields and paths."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from simlayer.mesh.faces import boundary_and_owners
from simlayer.mesh.mesh import Mesh

COLORS = matplotlib.colormaps["YlOrRd"]


def convergence_picture(
    path: Path, losses: Sequence[float], values: Mapping[str, Sequence[float]], reference: Mapping[str, float]
) -> None:
    """Draw the loss, and every quantity with its reference, over the epochs."""
    figure = Figure(figsize=(4 * (1 + len(values)), 3), layout="constrained")
    axes = figure.subplots(1, 1 + len(values), squeeze=False)[0]
    numbers = np.arange(len(losses))
    for axis, (label, series) in zip(axes, {"loss": losses, **values}.items(), strict=True):
        axis.plot(numbers, series, "o-", markersize=3)
        if label in reference:
            axis.axhline(reference[label], color="0.5", linestyle="--", label="reference", zorder=0)
            axis.legend(frameon=False)
        if label == "loss" and min(losses) > 0:  # that of a likelihood may be negative
            axis.set_yscale("log")
        axis.set(title=label, xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def body_picture(
    bodies: Mapping[str, Float[Tensor, "N 3"]], target: Float[Tensor, "N 3"], boundary: Int[Tensor, "S 3"]
) -> Figure:
    """Draw bodies by title, coloured by their distance to the target, whose edges are drawn over each.

    Where the target is missing (NaN), the distance counts as zero.
    """
    bodies = {title: positions.cpu() for title, positions in bodies.items()}
    targets = {title: torch.where(target.cpu().isnan(), x, target.cpu()) for title, x in bodies.items()}
    distances = {title: 1e3 * (x - targets[title]).norm(dim=1) for title, x in bodies.items()}
    scale = Normalize(0, max(float(distance.max()) for distance in distances.values()))
    figure = Figure(figsize=(5 * len(bodies) + 0.8, 3), layout="constrained")
    axes = figure.subplots(1, len(bodies), squeeze=False, sharex=True, sharey=True)[0]
    for axis, (title, positions) in zip(axes, bodies.items(), strict=True):
        colors = COLORS(scale(distances[title][boundary].mean(1).numpy()))
        draw_surface(axis, positions[boundary].numpy(), colors)
        _draw_edges(axis, targets[title][boundary].numpy())
        axis.set_title(f"{title}, up to {distances[title].max():.2g} mm from the target (lines)")
    bar = figure.colorbar(ScalarMappable(scale, COLORS), ax=list(axes), shrink=0.8)
    bar.set_label("distance to the target [mm]")
    return figure


def field_picture(
    path: Path,
    mesh: Mesh,
    fields: Mapping[str, Float[Tensor, "M"]],
    *,
    label: str,
    errors: Mapping[str, Float[Tensor, "M"]] | None = None,
) -> None:
    """Draw fields by title, one value per cell, on the outside and on a cut along the middle of the body.

    Relative errors are drawn beside them, in a scale of their own.
    """
    errors = errors or {}
    low = min(float(field.min()) for field in fields.values())
    high = max(float(field.max()) for field in fields.values())
    scale = LogNorm(low, high) if 0 < low < high else Normalize(low, high)
    count = len(fields) + len(errors)
    figure = Figure(figsize=(5 * count + 0.8, 5), layout="constrained")
    axes = figure.subplots(2, count, squeeze=False, sharex=True, sharey=True)
    for column, (title, field) in enumerate(fields.items()):
        _draw_field(axes[:, column], mesh, field, scale)
        axes[0, column].set_title(title)
    bar = figure.colorbar(ScalarMappable(scale, COLORS), ax=list(axes[:, : len(fields)].flat), shrink=0.8)
    bar.set_label(label)
    for column, (title, field) in enumerate(errors.items(), len(fields)):
        own = Normalize(0.0, 100 * float(field.max()) or 1.0)
        _draw_field(axes[:, column], mesh, 100 * field, own)
        axes[0, column].set_title(title)
        bar = figure.colorbar(ScalarMappable(own, COLORS), ax=list(axes[:, column]), shrink=0.8)
        bar.set_label("relative error [%]")
    figure.savefig(path, dpi=150)


def _draw_field(axes: Iterable[Axes], mesh: Mesh, field: Float[Tensor, "M"], scale: Normalize) -> None:
    """Draw a field on the outside, and below it on a cut."""
    for axis, cells in zip(axes, (torch.arange(len(mesh.cells)), _far_half(mesh)), strict=True):
        triangles, owners = boundary_and_owners(mesh.cells[cells], len(mesh.vertices))
        draw_surface(
            axis, mesh.vertices[triangles].numpy(), COLORS(scale(field.cpu()[cells][owners].numpy()))
        )


def _far_half(mesh: Mesh) -> Int[Tensor, "_"]:
    """Return the cells behind the middle of the body from the viewer of the pictures."""
    middles = mesh.vertices[mesh.cells].mean(1)
    return (middles[:, 1] >= mesh.bounds[:, 1].mean()).nonzero().flatten()


def draw_surface(axis: Axes, triangles: Float[np.ndarray, "S 3 3"], colors: Float[np.ndarray, "S 4"]) -> None:
    """Draw the triangles of a surface that face the viewer, in these colours."""
    visible, points, light = _visible(triangles)
    colors = colors[visible] * np.append(np.repeat(light[:, None], 3, 1), np.ones((len(light), 1)), 1)
    axis.add_collection(PolyCollection(list(points), facecolors=colors, edgecolors=colors, linewidths=0.5))
    axis.set_aspect("equal")
    axis.set_axis_off()
    axis.autoscale_view()


def _draw_edges(axis: Axes, triangles: Float[np.ndarray, "S 3 3"]) -> None:
    """Draw the edges of the triangles of a surface that face the viewer."""
    _, points, _ = _visible(triangles)
    loops = points[:, [0, 1, 2, 0]]
    axis.add_collection(LineCollection(list(loops), colors="black", linewidths=0.4))
    axis.autoscale_view()


def _visible(
    triangles: Float[np.ndarray, "S 3 3"],
) -> tuple[Int[np.ndarray, "V"], Float[np.ndarray, "V 3 2"], Float[np.ndarray, "V"]]:
    """Return the triangles that face the viewer, far ones first: indices, corners on paper, brightness."""
    towards = view()[2]
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    order = np.argsort(triangles.mean(1) @ towards)
    visible = order[(normals @ towards)[order] > 0]
    light = 0.75 + 0.25 * (normals[visible] @ np.array([0.0, 0.0, 1.0])).clip(0)
    return visible, triangles[visible] @ view()[:2].T, light


def view() -> Float[np.ndarray, "3 3"]:
    """Return the directions to the right and upward on paper, and that towards the viewer."""
    azimuth, elevation = math.radians(-55), math.radians(22)
    right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    towards = np.array([math.cos(azimuth), math.sin(azimuth), 0.0]) * math.cos(elevation)
    towards[2] = math.sin(elevation)
    return np.stack([right, np.cross(towards, right), towards])


def path_picture(
    times: Float[Tensor, "T"],
    observed: Float[Tensor, "T K 3"],
    simulated: Mapping[str, Float[Tensor, "T K 3"]],
    names: Sequence[str],
) -> Figure:
    """Draw displacements over time, one panel per marker: dots for observations, a line per simulation.

    At a single time, simulations are drawn as crosses.
    """
    found: dict[str, Any] = {"lw": 1.2}
    guess: dict[str, Any] = {"lw": 0.8, "ls": ":"}
    if len(times) == 1:
        found, guess = {"marker": "+"}, {"marker": "x"}
    *others, last = simulated
    curves = [("observed", observed, {"ls": "", "marker": ".", "ms": 4}), (last, simulated[last], found)]
    curves += [(title, simulated[title], guess) for title in others]
    columns = len(names) if len(names) <= 3 else math.ceil(math.sqrt(len(names)))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4.5 * columns, 2.8 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for k, (name, axis) in enumerate(zip(names, axes.flat, strict=False)):
        for j, component in enumerate("xyz"):
            for title, points, style in curves:
                label = f"{component}, {title}"
                axis.plot(times, 1e3 * points[:, k, j], color=f"C{j}", label=label, **style)
        axis.set_title(name, fontsize="medium")
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    for axis in axes[-1]:
        axis.set_xlabel("time [s]")
    for axis in axes[:, 0]:
        axis.set_ylabel("displacement [mm]")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize="small"
    )
    return figure
