"""Pictures of a field that was found, beside the true one and the error."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from simlayer.mesh.mesh import Mesh
from simlayer.plotting.arrays import Array, largest
from simlayer.plotting.body import draw_body
from simlayer.plotting.coloring import checked_mesh_field, common_scale
from simlayer.plotting.frame import trim_height
from simlayer.plotting.style import ERROR, FIELD, styled
from simlayer.plotting.units import choose_unit, label
from simlayer.quantities.arguments import checked_flag
from simlayer.quantities.objects import checked_instance

Column = tuple[str, Float[np.ndarray, "_"], Normalize, str]


@styled
def field_picture(
    mesh: Mesh,
    found: Array,
    truth: Array | None = None,
    *,
    name: str = "",
    unit: str = "",
    over: str = "auto",
    note: str = "",
    cut: bool = True,
    **options: Any,
) -> Figure:
    """Draw a field that was found and the true one in the same colours, and the error in others.

    Each is drawn on the outside, and below on a cut through the middle of the body. The error is relative
    where the truth has no zero, else the difference.

    Args:
        mesh: the body.
        found, truth: a value per cell or per vertex; NaN is grey. Without a truth, `found` alone is drawn.
        name, unit: of the field; numbers are shown in a multiple of the unit.
        over: "vertices" or "cells", or "auto" where the length of the field tells.
        note: lines below the pictures.
        cut: whether the cut is drawn.
        options: as for `draw_body`, such as `positions` or `fixed`.
    """
    values, where = checked_mesh_field(mesh, found, over, name="found")
    known = None if truth is None else checked_mesh_field(mesh, truth, where, name="truth")[0]
    factor, shown = choose_unit(largest(values, *([] if known is None else [known])), unit)
    scale = common_scale(*(each / factor for each in (values, known) if each is not None))
    columns: list[Column] = [("found", values / factor, scale, FIELD)]
    if known is not None:
        columns.append(("sought", known / factor, scale, FIELD))
    rows, labels = 1 + checked_flag("cut", cut), [label(name, shown)]
    if known is not None:
        error, title, bar = _error(values, known, shown, factor)
        columns.append((title, error, common_scale(error, zero=True), ERROR))
        labels.append(bar)
    figure = Figure(figsize=(3.6 * len(columns) + 0.8, 4.0))
    panels = figure.subplots(rows, len(columns), squeeze=False)
    drawn: list[Any] = []
    for column, (title, field, each, colors) in enumerate(columns):
        for row, axes in enumerate(panels[:, column]):
            marks = {"marks": row == rows - 1 and column == 0, **options}
            shade = {"field": field, "over": where, "scale": each, "colors": colors, "cut": row == 1}
            drawn.append(draw_body(axes, mesh, **{**marks, **shade}))
        panels[0, column].set_title(title)
        if row:
            panels[1, column].set_title("behind a cut", fontsize=8)
    if checked_instance("note", note, str):
        figure.supxlabel(note, fontsize=8)
    split = min(2, len(columns))
    figure.colorbar(drawn[0], ax=list(panels[:, :split].flat), shrink=0.8, label=labels[0])
    if len(columns) > 2:
        figure.colorbar(drawn[-1], ax=list(panels[:, 2]), shrink=0.8, label=labels[1])
    trim_height(figure, panels.tolist())
    return figure


def _error(
    found: Float[np.ndarray, "_"], truth: Float[np.ndarray, "_"], unit: str, factor: float
) -> tuple[Float[np.ndarray, "_"], str, str]:
    """Return the size of the error, its title and the label of its colours."""
    if (truth[np.isfinite(truth)] != 0).all():
        error = 100 * np.abs(found / truth - 1)
        middle = np.nanmedian(error) if np.isfinite(error).any() else np.nan
        return error, f"error, median {middle:.2g} %", "relative error [%]"
    return np.abs(found - truth) / factor, "error", label("error", unit)
