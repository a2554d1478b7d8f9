"""A scan compared with the specimen that was found, in a picture and in numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from simlayer.app.surroundings import surroundings
from simlayer.identification.closest_points import closest_points
from simlayer.identification.outliers import outlier_scale
from simlayer.identification.rigid_alignment import motion_between
from simlayer.laboratory.scan_test import ScanTest
from simlayer.plotting import body_view, draw_body, styled
from simlayer.plotting.style import ERROR, KNOWN


@styled
def scan_picture(test: ScanTest, positions: Float[Tensor, "N 3"]) -> Figure:
    """Draw a specimen with the points of its scan, coloured by their distances, and these as a histogram.

    Args:
        test: the test.
        positions: of the vertices of the specimen that was found [m].
    """
    points, distances, scale = _measured(test, positions)
    limit = 1e3 * (scale or float(distances.abs().quantile(0.98)))
    figure = Figure(figsize=(12, 4))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    shown = ScalarMappable(Normalize(0.0, limit or 1.0), ERROR)
    _draw_points(left, test, positions, points, shown.to_rgba(1e3 * distances.abs().numpy()))
    left.set_title(f"{test.name}: {len(points)} points")
    figure.colorbar(shown, ax=left, shrink=0.8, extend="max", label="distance [mm]")
    values, width = 1e3 * distances.numpy(), 1.5 * (limit or 1.0)
    right.hist(values.clip(-width, width), bins=np.linspace(-width, width, 61))
    if scale is not None:
        for side in (-limit, limit):
            right.axvline(side, color=KNOWN, ls="--", lw=1)
    right.set_title("distances" if scale is None else f"distances; outliers beyond {limit:.3g} mm (lines)")
    right.set(xlabel="surface outside of the point [mm], at the ends or more", ylabel="points")
    return figure


def summarize_scan(test: ScanTest, positions: Float[Tensor, "N 3"]) -> dict[str, Any]:
    """Return the distances, outliers and rigid motion of a scan, for the results of a run."""
    points, distances, scale = _measured(test, positions)
    found: dict[str, Any] = {"median_distance": {"value": float(distances.abs().median()), "unit": "m"}}
    if scale is not None:
        assert test.outlier_distance is not None
        found["outliers"] = float((distances.abs() > scale).double().mean())
        found["outlier_scale"] = {
            "value": scale,
            "unit": "m",
            "grown": scale > 1.01 * test.outlier_distance,
        }
    if test.rigid_motion:
        rotation, shift = motion_between(test.given.double().cpu()[test.present.cpu()], points)
        cosine = 0.5 * (float(rotation.trace()) - 1)
        angle = math.degrees(math.acos(min(1.0, max(-1.0, cosine))))
        found["moved"] = {"by": shift.tolist(), "unit": "m", "turned": angle, "turned_unit": "degree"}
    return {"scan": found}


def format_scan(row: Mapping[str, Any]) -> str:
    """Format what `summarize_scan` returns under "scan", for display."""
    parts = [f"median distance of the points {1e3 * row['median_distance']['value']:.3g} mm"]
    if "outliers" in row:
        scale, more = row["outlier_scale"], ""
        if scale["grown"]:
            more = ", more than outlier_distance: raise that, or standard errors are too large"
        parts.append(f"{row['outliers']:.1%} outliers beyond {1e3 * scale['value']:.3g} mm{more}")
    if "moved" in row:
        by = ", ".join(f"{1e3 * x:.3g}" for x in row["moved"]["by"])
        parts.append(f"turned by {row['moved']['turned']:.3g} degrees and moved by ({by}) mm to fit")
    return ", ".join(parts)


def _measured(test: ScanTest, positions: Tensor) -> tuple[Tensor, Tensor, float | None]:
    """Return the scanned points, their distances from the surface, and the least one of an outlier [m]."""
    present = test.present.cpu()
    points = test.placed(positions).detach().double().cpu()[present]
    distances = test.distances(positions).detach().double().cpu()[: len(present)][present]
    if test.outlier_distance is None:
        return points, distances, None
    everywhere = torch.ones(len(distances), dtype=torch.bool)
    return points, distances, float(outlier_scale(distances, everywhere, test.outlier_distance))


def _draw_points(axis: Axes, test: ScanTest, positions: Tensor, points: Tensor, colors: np.ndarray) -> None:
    """Draw the specimen, and the points of the part that faces the viewer."""
    mesh, body = test.step.elements.mesh, positions.detach().double().cpu()
    beside = surroundings(test.step)
    view = beside["view"] = beside["view"] or body_view(mesh.vertices)
    draw_body(axis, mesh, body, **beside)
    corners = body[closest_points(points, body, mesh.boundary.cpu())[0]]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).numpy()
    facing = normals @ view.towards > 0
    across, up = view.project(points.numpy()[facing]).T
    axis.scatter(across, up, c=colors[facing], s=4, linewidths=0, zorder=3)
