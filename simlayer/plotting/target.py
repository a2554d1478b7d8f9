"""Pictures of bodies over the shape that they should have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simlayer.mesh.mesh import Mesh
from simlayer.plotting.arrays import Array, as_array, largest
from simlayer.plotting.body import draw_body, draw_outline, drawn_from
from simlayer.plotting.coloring import body_part, common_scale
from simlayer.plotting.frame import trim_height
from simlayer.plotting.style import ERROR, LINES, REST, add_legend, styled
from simlayer.plotting.units import choose_unit, format_size
from simlayer.quantities.objects import checked_instance


@styled
def target_picture(
    mesh: Mesh,
    bodies: Mapping[str, Float[Array, "N 3"]],
    target: Float[Array, "N 3"],
    **options: Any,
) -> Figure:
    """Draw bodies side by side, coloured by their distance from a target, whose outline is drawn over each.

    Args:
        mesh: the body.
        bodies: positions of the vertices by title [m].
        target: the positions that they should have [m]; where one is missing (NaN), there is no distance.
        options: as for `draw_body`, such as `fixed` or `obstacles`.
    """
    count = len(checked_instance("mesh", mesh, Mesh).vertices)
    wanted = as_array("target", target, count, 3)
    if not checked_instance("bodies", bodies, Mapping):
        raise ValueError("bodies must hold at least one body, got none.")
    shapes = {title: as_array(f"bodies[{title!r}]", x, count, 3) for title, x in bodies.items()}
    distances = {title: np.linalg.norm(x - wanted, axis=1) for title, x in shapes.items()}
    factor, unit = choose_unit(largest(*distances.values()), "m")
    scale = common_scale(*(each / factor for each in distances.values()), zero=True)
    _, view = drawn_from(mesh, options.get("obstacles", ()), options.get("view"))
    figure = Figure(figsize=(4.6 * len(shapes) + 0.8, 3.0))
    panels = figure.subplots(1, len(shapes), squeeze=False)[0]
    everything = np.concatenate([*shapes.values(), wanted])
    shade = {"over": "vertices", "scale": scale, "colors": ERROR, "around": everything}
    for axes, (title, x) in zip(panels, shapes.items(), strict=True):
        given = {"marks": axes is panels[0], **options, **shade, "field": distances[title] / factor}
        drawn = draw_body(axes, mesh, x, **given)
        surface = body_part(mesh, np.where(np.isnan(wanted), x, wanted), view, cut=False).surface
        draw_outline(axes, surface, view, color=LINES[0], width=1.1, style="-", zorder=2.2)
        size = format_size(largest(distances[title]), "m")
        up_to = "" if size.startswith("less") else "up to "
        axes.set_title(f"{title}: {up_to}{size} from the target")
    assert drawn is not None
    figure.colorbar(drawn, ax=list(panels), shrink=0.8, label=f"distance from the target [{unit}]")
    lines = [Line2D([], [], color=LINES[0], lw=1.1), Line2D([], [], color=REST, lw=0.7, ls="--")]
    add_legend(figure, lines, ["target", "rest shape"])
    trim_height(figure, [list(panels)])
    return figure
