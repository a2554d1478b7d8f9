"""Values of each of several bodies, laid over the cells or vertices of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from simlayer.quantities.arrays import checked_numbers, described
from simlayer.quantities.named import NamedQuantity
from simlayer.quantities.quantity import check_own_axes
from simlayer.steps.state_checks import check_tensor


def rows_of_bodies(name: str, value: Any, count: int, like: Tensor) -> list[Tensor]:
    """Return the value of each of `count` bodies, from the first axis of a tensor or a list.

    Raises:
        TypeError: naming `name`, if one is no number or array of numbers, or a tensor of another dtype or on
            another device than `like`.
        ValueError: if there is not one for each.
    """
    is_listed = value.ndim > 0 if isinstance(value, Tensor) else isinstance(value, (list, tuple))
    if not is_listed or len(value) != count:
        raise ValueError(
            f"{name} must hold one value for each of {count} bodies along its first axis, got "
            f"{described(value)}."
        )
    rows = [row if isinstance(row, Tensor) else checked_numbers(name, row).to(like) for row in value]
    for row in rows:
        check_tensor(name, row, like)
    return rows


def laid_out(
    name: str,
    rows: Sequence[Tensor],
    entry: NamedQuantity | None,
    cell_counts: Sequence[int],
    vertex_counts: Sequence[int],
) -> Tensor:
    """Return the values of a quantity over the cells or vertices of all bodies; gravity over the vertices.

    Args:
        name: what the caller calls it.
        rows: the value of each body.
        entry: the quantity; None: not one.
        cell_counts, vertex_counts: of each body.

    Raises:
        ValueError: if a value does not fit its body, or the quantity belongs to no cell or vertex.
    """
    is_gravity = entry is not None and entry.name == "gravity"
    if entry is None or (entry.quantity.over in ("uniform", "components") and not is_gravity):
        raise ValueError(
            f"{name} belongs to no cell or vertex, and is one for all bodies: give it to the rollout "
            "itself, not to one body or each."
        )
    over, total = entry.quantity.over, sum(cell_counts)
    if over == "cells" and (given := entry.module.extents.get("cells", total)) != total:
        raise ValueError(
            f"{name} has one value for each of {given} regions: make the force without `regions`, and give "
            "each body a value, or one per cell (M,)."
        )
    counts = cell_counts if over == "cells" else vertex_counts
    for index, (row, count) in enumerate(zip(rows, counts, strict=True)):
        extents = {"cells": count, "vertices": count}
        check_own_axes(entry.quantity, row, extents, name=f"{name} of body {index}")
    if is_gravity:
        return joined(name, [row[..., None, :] for row in rows], counts, -2)
    if over == "vertex vectors":
        return joined(name, rows, counts, -2)
    return joined(name, [row[None] if row.ndim == 0 else row for row in rows], counts, -1)


def joined(name: str, parts: Sequence[Tensor], counts: Sequence[int], axis: int) -> Tensor:
    """Return values joined along an axis from the end, each expanded to its count and to the batch of all.

    Raises:
        ValueError: naming `name`, if the batches do not broadcast.
    """
    shapes = [part.shape[:axis] for part in parts]
    try:
        batch = torch.broadcast_shapes(*shapes)
    except RuntimeError:
        listed = ", ".join(str(tuple(shape)) for shape in shapes)
        raise ValueError(f"{name} of the bodies have batches that do not broadcast: {listed}.") from None
    expanded = [
        part.expand(*batch, count, *part.shape[part.ndim + axis + 1 :])
        for part, count in zip(parts, counts, strict=True)
    ]
    return torch.cat(expanded, axis)
