"""The surface of a body on paper: the triangles that face the viewer, far ones first, and its sharp edges."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from simlayer.plotting.view import View

# The least angle between two triangles whose common edge is drawn: none of a round body in coarse triangles.
_SHARP = math.cos(math.radians(55))
# A surface that faces the light is as bright as its colour, one that turns away darker by this share. It is
# little, because a darker colour reads as another number.
_SHADE = 0.22

Colors = Float[np.ndarray, "S 4"]
Color = tuple[float, float, float, float]


class Surface(NamedTuple):
    """Triangles in space.

    Attributes:
        points: the vertices [m].
        triangles: their corners, outward.
    """

    points: Float[np.ndarray, "N 3"]
    triangles: Int[np.ndarray, "S 3"]

    @property
    def normals(self) -> Float[np.ndarray, "S 3"]:
        """The unit normals; NaN where a corner is missing or a triangle has no area."""
        a, b, c = self.points[self.triangles].transpose(1, 0, 2)
        normals = np.cross(b - a, c - a)
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        return normals / np.where(lengths > 0, lengths, np.nan)

    def facing(self, view: View) -> Bool[np.ndarray, "S"]:
        """Return which triangles face the viewer."""
        # Those that are seen edge-on by all but rounding are not.
        return self.normals @ view.towards > 1e-9


class Polygons(NamedTuple):
    """What is drawn, in any order: triangles, and edges as triangles without area.

    Attributes:
        corners: in space [m].
        depths: how near each is to the viewer; what is nearer covers the others.
        faces, edges: colours.
        widths: of the edges, in points.
    """

    corners: Float[np.ndarray, "S 3 3"]
    depths: Float[np.ndarray, "S"]
    faces: Colors
    edges: Colors
    widths: Float[np.ndarray, "S"]


def shaded_triangles(surface: Surface, view: View, colors: Colors) -> Polygons:
    """Return the triangles of a surface that face the viewer, in these colours, lit from above the viewer."""
    visible = surface.facing(view)
    corners = surface.points[surface.triangles[visible]]
    light = view.towards + 0.8 * view.up - 0.3 * view.right
    brightness = surface.normals[visible] @ (light / np.linalg.norm(light))
    faces = colors[visible].copy()
    faces[:, :3] *= 1 - _SHADE * (1 - brightness.clip(0, 1))[:, None]
    # A line of the same colour closes the gaps between neighbours.
    return Polygons(corners, corners.mean(1) @ view.towards, faces, faces, np.full(len(corners), 0.4))


def edge_lines(surface: Surface, view: View, *, width: float = 0.7, alpha: float = 1.0) -> Polygons:
    """Return the sharp edges of a surface and its outline, where they are on the viewer's side."""
    pairs, triangles = visible_edges(surface, view)
    corners = surface.points[pairs[:, [0, 1, 1]]]
    nearest = (surface.points[surface.triangles].mean(1) @ view.towards)[triangles].max(1)
    black = np.tile([0.15, 0.15, 0.15, alpha], (len(pairs), 1))
    # In front of the triangles about it, which would cover half of the line.
    lengths = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)
    depths = np.maximum(nearest, corners.mean(1) @ view.towards) + lengths / 2
    return Polygons(corners, depths, 0 * black, black, np.full(len(pairs), width))


def visible_edges(surface: Surface, view: View) -> tuple[Int[np.ndarray, "E 2"], Int[np.ndarray, "E 2"]]:
    """Return the vertices of the sharp edges and of the outline, and the two triangles beside each."""
    sides = np.sort(surface.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    owners = np.repeat(np.arange(len(surface.triangles)), 3)
    order = np.lexsort(sides.T)
    sides, owners = sides[order], owners[order]
    starts = np.append(True, (sides[1:] != sides[:-1]).any(1))
    first = np.flatnonzero(starts)
    counts = np.diff(np.append(first, len(sides)))
    # An edge with one triangle is the rim of an open surface.
    beside = np.stack([owners[first], owners[np.where(counts > 1, first + 1, first)]], 1)
    facing, normals = surface.facing(view)[beside], surface.normals[beside]
    sharp = (normals[:, 0] * normals[:, 1]).sum(1) < _SHARP
    drawn = facing.any(1) & (sharp | ~facing.all(1) | (counts == 1))
    return sides[first][drawn], beside[drawn]


def draw_polygons(axes: Axes, view: View, *parts: Polygons, zorder: float = 1.0) -> PolyCollection:
    """Draw polygons as one picture of pixels, what is far before what is near."""
    corners, depths, faces, edges, widths = (np.concatenate(each) for each in zip(*parts, strict=True))
    order = np.argsort(depths, kind="stable")
    collection = PolyCollection(
        view.project(corners[order]),  # type: ignore[arg-type]
        facecolors=faces[order],
        edgecolors=edges[order],
        linewidths=widths[order],
        capstyle="round",
        joinstyle="round",
        rasterized=True,
        zorder=zorder,
    )
    axes.add_collection(collection)
    return collection


def draw_shadow(axes: Axes, surface: Surface, view: View, color: Color, *, zorder: float) -> PathPatch:
    """Draw what a surface covers on paper in one translucent colour, without seams between triangles."""
    corners = view.project(surface.points[surface.triangles[surface.facing(view)]])
    closed = corners[:, [0, 1, 2, 0]].reshape(-1, 2)
    codes = np.tile([Path.MOVETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY], len(corners))
    patch = PathPatch(Path(closed, codes), facecolor=color, linewidth=0.0, zorder=zorder, rasterized=True)
    axes.add_patch(patch)
    return patch
