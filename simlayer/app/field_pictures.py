"""Pictures of the unknowns that have a value per cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from simlayer.app.plots import field_picture
from simlayer.app.report import format_regions
from simlayer.identification.unknowns import Unknown, short_names
from simlayer.mesh.mesh import Mesh


def draw_fields(
    folder: Path,
    mesh: Mesh,
    unknowns: Sequence[Unknown],
    references: Mapping[str, Tensor],
    rows: Mapping[str, Any],
) -> dict[str, Tensor]:
    """Draw the unknowns that have a value per cell, with their errors, and return them by label.

    Args:
        folder: the folder of the run.
        mesh: the body.
        unknowns: all unknowns of a fit.
        references: the true values, where they are known.
        rows: the results of each unknown, see `parameter_rows`.
    """
    fields, labels = {}, short_names(unknowns)
    for unknown in unknowns:
        if unknown.value.shape != (len(mesh.cells),):
            continue
        label = labels[unknown.name]
        fields[label] = unknown.value
        drawn, errors = {"found": unknown.value}, {}
        if unknown.name in references:
            reference = references[unknown.name].expand_as(unknown.value)
            drawn["reference"] = reference
            title = "\n".join(["error", *format_regions(rows[unknown.name])])
            if bool(reference.all()):
                errors[title] = (unknown.value / reference - 1).abs()
        name = f"{label} [{unknown.unit}]"
        field_picture(folder / f"{label}.png", mesh, drawn, label=name, errors=errors)
    return fields
