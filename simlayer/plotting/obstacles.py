"""Obstacles on paper, where they are at rest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgba
from torch import Tensor

from simlayer.contact.obstacle import Obstacle
from simlayer.contact.shapes import Box, Capsule, Cylinder, HalfSpace, Sphere
from simlayer.plotting.style import OBSTACLE
from simlayer.plotting.surface import (
    Polygons,
    Surface,
    draw_polygons,
    draw_shadow,
    edge_lines,
    shaded_triangles,
)
from simlayer.plotting.view import View

# Triangles around a round obstacle, and along its height: small, so that each is before or behind the body's.
_AROUND, _ALONG, _GRID = 32, 8, 8
# How far a plane is drawn to the sides, in sizes of what lies on it.
_BEYOND = 1.15
# How far its middle is in front of the body's, in depths of the body, for an obstacle to be in front of it.
_BEFORE = 0.25
_PALE = "#D5CFC6"


def obstacle_polygons(
    axes: Axes, obstacle: Obstacle, view: View, body: Float[np.ndarray, "N 3"]
) -> list[Polygons]:
    """Return the polygons of a ball, a box, a capsule or a cylinder; none of anything else.

    One that stands in front of the body would hide it, and is drawn on axes as a shadow instead.
    """
    surface = _surface(obstacle)
    if surface is None:
        return []
    surface = Surface(surface.points @ _turn(obstacle).T + _first(obstacle.translation, 3), surface.triangles)
    edges = edge_lines(surface, view, width=0.5)
    depths = body[np.isfinite(body).all(1)] @ view.towards
    if (surface.points @ view.towards).mean() > depths.mean() + _BEFORE * np.ptp(depths):
        draw_shadow(axes, surface, view, to_rgba(OBSTACLE, 0.35), zorder=3.0)
        draw_polygons(axes, view, edges, zorder=3.1)
        return []
    colors = np.tile(to_rgba(_PALE), (len(surface.triangles), 1))
    return [shaded_triangles(surface, view, colors), edges]


def draw_plane(
    axes: Axes, obstacle: HalfSpace, view: View, around: Float[np.ndarray, "N 3"]
) -> Float[np.ndarray, "4 3"]:
    """Draw the plane of a half-space, in squares, under all points, and return its corners.

    A body is never behind a plane that the viewer stands before; one that he stands behind is drawn over it.
    """
    normal = _turn(obstacle) @ _first(obstacle.direction, 3)
    along = np.cross(normal, view.facing)  # the axis of the body that lies horizontal, if the plane does
    if np.linalg.norm(along) < 1e-6:
        along = view.right - (view.right @ normal) * normal
    along /= np.linalg.norm(along)
    across = np.cross(normal, along)
    around = around[np.isfinite(around).all(1)]
    centre = (around.min(0) + around.max(0)) / 2
    centre = centre - ((centre - _first(obstacle.translation, 3)) @ normal) * normal
    reach = [_BEYOND * np.abs((around - centre) @ axis).max() for axis in (along, across)]
    steps = np.linspace(-1, 1, _GRID + 1)
    along, across = reach[0] * along, reach[1] * across
    lines = np.concatenate([_segments(centre, *pair, steps) for pair in ((along, across), (across, along))])
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    square = np.stack([centre + a * along + b * across for a, b in corners])
    before = float(normal @ view.towards) >= 0
    alpha, zorder = (0.35, 0.4) if before else (0.2, 3.0)
    axes.add_collection(
        PolyCollection([view.project(square)], facecolors=[to_rgba(OBSTACLE, alpha)], zorder=zorder)
    )
    axes.add_collection(
        LineCollection(
            list(view.project(lines)), colors=[to_rgba(OBSTACLE, 0.8)], linewidths=0.4, zorder=zorder
        )
    )
    return square


def _segments(
    centre: Float[np.ndarray, "3"],
    along: Float[np.ndarray, "3"],
    across: Float[np.ndarray, "3"],
    steps: Float[np.ndarray, "K"],
) -> Float[np.ndarray, "K 2 3"]:
    middles = centre + steps[:, None] * across
    return np.stack([middles - along, middles + along], 1)


def _surface(obstacle: Obstacle) -> Surface | None:
    """Return the surface of an obstacle in its own coordinates."""
    if isinstance(obstacle, Box):
        return _block(_first(obstacle.size, 3))
    if isinstance(obstacle, Sphere | Capsule | Cylinder):
        radius = float(_first(obstacle.radius, 1)[0])
        half = 0.0 if isinstance(obstacle, Sphere) else float(_first(obstacle.height, 1)[0]) / 2
        heights = np.linspace(-half, half, _ALONG + 1)
        if isinstance(obstacle, Cylinder):
            inward = np.linspace(0, radius, 4)
            rims = np.concatenate([inward, np.full(_ALONG - 1, radius), inward[::-1]])
            levels = np.concatenate([np.full(4, -half), heights[1:-1], np.full(4, half)])
            return _turned(rims, levels)
        angles = np.linspace(-math.pi / 2, 0, _ALONG + 1)
        rims = radius * np.cos(angles)
        levels = radius * np.sin(angles) - half
        middle = heights[1:-1] if half else heights[:0]
        return _turned(
            np.concatenate([rims, np.full(len(middle), radius), rims[::-1]]),
            np.concatenate([levels, middle, -levels[::-1]]),
        )
    return None


def _turned(radii: Float[np.ndarray, "K"], heights: Float[np.ndarray, "K"]) -> Surface:
    """Return the surface of revolution about z of a profile from below to above."""
    angles = 2 * math.pi * np.arange(_AROUND) / _AROUND
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    rings = radii[:, None, None] * circle
    points = np.concatenate([rings, np.broadcast_to(heights[:, None, None], (*rings.shape[:2], 1))], 2)
    k, a = np.meshgrid(np.arange(len(radii) - 1), np.arange(_AROUND), indexing="ij")
    low, next_low = k * _AROUND + a, k * _AROUND + (a + 1) % _AROUND
    first = np.stack([low, next_low, low + _AROUND], -1)
    second = np.stack([next_low, next_low + _AROUND, low + _AROUND], -1)
    triangles = np.concatenate([first, second]).reshape(-1, 3)
    return _welded(points.reshape(-1, 3), triangles, size=float(np.abs(points).max()))


def _block(size: Float[np.ndarray, "3"]) -> Surface:
    """Return the surface of a block whose faces are cut into a grid."""
    ticks = np.linspace(-0.5, 0.5, _GRID + 1)
    u, v = np.meshgrid(ticks, ticks, indexing="ij")
    a = (np.arange(_GRID)[:, None] * (_GRID + 1) + np.arange(_GRID)).reshape(-1)
    b, c, d = a + _GRID + 1, a + _GRID + 2, a + 1
    grid = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    points: list[Any] = []
    triangles: list[Any] = []
    for axis in range(3):
        for side in (-0.5, 0.5):
            face = np.empty((u.size, 3))
            face[:, axis], face[:, axis - 2], face[:, axis - 1] = side, u.ravel(), v.ravel()
            triangles.append((grid if side > 0 else grid[:, ::-1]) + len(points) * u.size)
            points.append(face * size)
    return _welded(np.concatenate(points), np.concatenate(triangles), size=float(size.max()))


def _welded(points: Float[np.ndarray, "N 3"], triangles: Int[np.ndarray, "S 3"], *, size: float) -> Surface:
    """Return a surface in which vertices at the same place are one, without triangles that have no area.

    Its edges are then found to be shared, and sharp or not.
    """
    _, first, inverse = np.unique(np.round(points / size, 9), axis=0, return_index=True, return_inverse=True)
    triangles = inverse.reshape(-1)[triangles]
    a, b, c = triangles.T
    return Surface(points[first], triangles[(a != b) & (b != c) & (c != a)])


def _turn(obstacle: Obstacle) -> Float[np.ndarray, "3 3"]:
    return _first(obstacle.turn, 9).reshape(3, 3)


def _first(value: Tensor, count: int) -> Float[np.ndarray, "_"]:
    """Return the value of a quantity, that of the first sample of a batch."""
    return value.detach().cpu().double().reshape(-1, count)[0].numpy()
