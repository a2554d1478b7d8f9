"""Pictures of a body: a field on it, what holds it, what it touches, and its rest shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from torch import Tensor

from simlayer.contact.obstacle import Obstacle
from simlayer.contact.shapes import HalfSpace
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.selection import fixed_components
from simlayer.plotting.arrays import Array, as_array, largest
from simlayer.plotting.coloring import (
    Part,
    body_part,
    checked_mesh_field,
    colors_of,
    common_scale,
    mappable,
)
from simlayer.plotting.frame import frame_points, trim_height
from simlayer.plotting.obstacles import draw_plane, obstacle_polygons
from simlayer.plotting.style import BODY, FIELD, FIXED, REST, styled
from simlayer.plotting.surface import Surface, draw_polygons, edge_lines, shaded_triangles, visible_edges
from simlayer.plotting.units import choose_unit, label
from simlayer.plotting.view import View, body_view
from simlayer.quantities.arguments import checked_flag
from simlayer.quantities.objects import checked_instance

# In sizes of a body.
_APART = 0.005


@styled
def draw_body(
    axes: Axes,
    mesh: Mesh,
    positions: Float[Array, "N 3"] | None = None,
    *,
    field: Array | None = None,
    over: str = "auto",
    scale: Normalize | None = None,
    colors: str = FIELD,
    fixed: Tensor | str | None = None,
    obstacles: Obstacle | Sequence[Obstacle] = (),
    view: View | None = None,
    around: Float[Array, "*batch 3"] | None = None,
    cut: bool = False,
    rest: bool = True,
    marks: bool = True,
) -> ScalarMappable | None:
    """Draw a body on axes, and return what a colour bar takes if a field is drawn.

    Args:
        axes: to draw on; their limits are chosen anew, with equal scales.
        mesh: the body.
        positions: its vertices [m]; the rest shape by default. A triangle with NaN is left out.
        field: values per vertex or per cell as colours; NaN is grey.
        over: "vertices" or "cells", or "auto" where the length of the field tells.
        scale: the values at the ends of the colours; those of the field by default.
        colors: the name of a colour map of Matplotlib.
        fixed: vertices that are marked as held, as for a step.
        obstacles: drawn where they are at rest; shapes other than those of this package are left out.
        view: from where, as by `body_view` or `angle_view`; chosen by the rest shape by default.
        around: further points that the limits hold, such as all frames of a motion [m].
        cut: whether the half in front of the middle is taken away.
        rest: whether the rest shape is drawn in thin lines, where it differs from what is drawn.
        marks: whether the axes x, y and z and a bar of a round length are drawn.
    """
    checked_instance("axes", axes, Axes)
    several, view = drawn_from(mesh, obstacles, view)
    checked_flag("rest", rest)
    vertices = as_array("vertices", mesh.vertices, None, 3)
    points = vertices if positions is None else as_array("positions", positions, len(vertices), 3)
    whole = body_part(mesh, points, view, cut=False)
    part = body_part(mesh, points, view, cut=True) if checked_flag("cut", cut) else whole
    shown, faces = None, np.tile(to_rgba(BODY), (len(part.owners), 1))
    if field is not None:
        values, where = checked_mesh_field(mesh, field, over)
        shown = mappable(common_scale(values) if scale is None else scale, colors)
        faces = colors_of(part.over_triangles(values, where), shown.norm, shown.cmap)
    polygons = [shaded_triangles(part.surface, view, faces), edge_lines(part.surface, view)]
    polygons += [each for obstacle in several for each in obstacle_polygons(axes, obstacle, view, points)]
    draw_polygons(axes, view, *polygons)
    moved = _has_moved(points, vertices)
    if rest and (moved or cut):
        draw_outline(axes, Surface(vertices, whole.surface.triangles), view)
    if fixed is not None:
        _mark_fixed(axes, part, fixed_components(mesh, fixed).numpy(), view)
    held = [vertices, points, *(each.corners.reshape(-1, 3) for each in polygons)]
    if around is not None:
        held.append(np.asarray(as_array("around", around, *(None,) * np.ndim(around))).reshape(-1, 3))
    for obstacle in several:
        if isinstance(obstacle, HalfSpace):
            held.append(draw_plane(axes, obstacle, view, np.concatenate(held)))
    frame_points(axes, view, np.concatenate(held), marks=checked_flag("marks", marks))
    return shown


def _has_moved(points: Float[np.ndarray, "N 3"], vertices: Float[np.ndarray, "N 3"]) -> bool:
    """Return whether a body is so far from its rest shape that both can be told apart."""
    return largest(points - vertices) > _APART * float(np.ptp(vertices, axis=0).max())


def drawn_from(
    mesh: Mesh, obstacles: Obstacle | Sequence[Obstacle], view: View | None
) -> tuple[list[Obstacle], View]:
    """Return obstacles as a list, and the view of a body between them."""
    checked_instance("mesh", mesh, Mesh)
    listed: list[Any] = list(obstacles) if isinstance(obstacles, list | tuple) else [obstacles]
    for obstacle in listed:
        checked_instance("obstacles", obstacle, Obstacle, example="HalfSpace()")
    if view is None:
        return listed, body_view(mesh.vertices, upright=bool(listed))
    return listed, checked_instance("view", view, View, example="angle_view(-55, 20)")


@styled
def body_picture(
    mesh: Mesh,
    positions: Float[Array, "N 3"] | None = None,
    *,
    field: Array | None = None,
    name: str = "",
    unit: str = "",
    cut: bool = False,
    **options: Any,
) -> Figure:
    """Draw a body with a colour bar, and beside it on a cut if asked for.

    Args:
        mesh: the body.
        positions: its vertices [m]; the rest shape by default.
        field: values per vertex or per cell as colours.
        name, unit: of the field; numbers are shown in a multiple of the unit.
        cut: whether the half behind a cut through the middle is drawn, too.
        options: as for `draw_body`.
    """
    figure = Figure(figsize=(10 if checked_flag("cut", cut) else 6.4, 4))
    panels = list(figure.subplots(1, 1 + cut, squeeze=False)[0])
    shown = checked_instance("unit", unit, str)
    if field is not None:
        values, _ = checked_mesh_field(mesh, field, options.get("over", "auto"))
        factor, shown = choose_unit(largest(values), unit)
        field = values / factor
        positive = not (values < 0).any()
        options = {"scale": common_scale(values / factor, zero=positive), **options}
    drawn = None
    for panel, half in zip(panels, (False, True), strict=False):
        drawn = draw_body(panel, mesh, positions, field=field, cut=half, **{"marks": not half, **options})
    if cut:
        panels[1].set_title("behind a cut through the middle")
    if drawn is not None:
        figure.colorbar(drawn, ax=panels, shrink=0.8, label=label(name, shown))
    trim_height(figure, [panels])
    return figure


def draw_outline(
    axes: Axes,
    surface: Surface,
    view: View,
    *,
    color: Any = REST,
    width: float = 0.7,
    style: str = "--",
    zorder: float = 2.0,
) -> None:
    """Draw the outline and the sharp edges of a surface in thin lines, over everything."""
    pairs, _ = visible_edges(surface, view)
    lines = view.project(surface.points[pairs])
    drawn = LineCollection(list(lines), colors=[color], linewidths=width, linestyles=style, zorder=zorder)
    # On a seam of white they are seen before dark colours, too.
    drawn.set_path_effects([withStroke(linewidth=width + 1.2, foreground=(1, 1, 1, 0.6))])
    axes.add_collection(drawn)


def _mark_fixed(axes: Axes, part: Part, fixed: Any, view: View) -> None:
    """Mark the held vertices of the surface: squares, pale on the side that is turned away."""
    surface = part.surface
    outside = np.unique(surface.triangles)
    front = np.unique(surface.triangles[surface.facing(view)])
    held = np.intersect1d(np.flatnonzero(fixed.any(1)), outside)
    places = view.project(surface.points[held])
    turned = ~np.isin(held, front)
    for shown, alpha in ((turned, 0.25), (~turned, 1.0)):
        x, y = places[shown].T
        axes.scatter(x, y, s=9, marker="s", c=FIXED, alpha=alpha, linewidths=0, zorder=2.5)
