"""Pictures of the unknowns that have a value per cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from simlayer.app.report import format_regions
from simlayer.identification.unknowns import Unknown, short_names
from simlayer.mesh.mesh import Mesh
from simlayer.plotting import field_picture


def draw_fields(
    folder: Path,
    mesh: Mesh,
    unknowns: Sequence[Unknown],
    references: Mapping[str, Tensor],
    rows: Mapping[str, Any],
    **beside: Any,
) -> dict[str, Tensor]:
    """Draw the unknowns that have a value per cell, with their errors, and return them by label.

    Args:
        folder: the folder of the run.
        mesh: the body.
        unknowns: all unknowns of a fit.
        references: the true values, where they are known.
        rows: the results of each unknown, see `parameter_rows`.
        beside: what is drawn beside the body, see `surroundings`.
    """
    fields, labels = {}, short_names(unknowns)
    for unknown in unknowns:
        if unknown.value.shape != (len(mesh.cells),):
            continue
        label, truth = labels[unknown.name], references.get(unknown.name)
        fields[label] = unknown.value
        field_picture(
            mesh,
            unknown.value,
            None if truth is None else truth.expand_as(unknown.value),
            name=label,
            unit=unknown.unit,
            over="cells",
            note="\n".join(format_regions(rows[unknown.name])),
            **beside,
        ).savefig(folder / f"{label}.png", dpi=150)
    return fields
