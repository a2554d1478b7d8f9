"""Vertices and cells selected by name, index or mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arrays import described
from simlayer.quantities.objects import checked_instance


def vertex_indices(
    mesh: Mesh, vertices: Tensor | str, *, name: str, alternative: str = ""
) -> Int[Tensor, "_"]:
    """Return selected vertices, ascending: a vertex set by its name, indices, or a mask `(N,)`.

    Raises:
        ValueError: naming `name`, and an `alternative` of the caller's own, if they are none of these, no
            vertices of this mesh, or none at all.
    """
    names = checked_instance("mesh", mesh, Mesh).vertex_sets
    if isinstance(vertices, str):
        if vertices not in names:
            raise ValueError(f"{name}: the mesh has no vertex set {vertices!r}; it has {list(names)}.")
        found = names[vertices]
    else:
        what = (
            f"the name of a vertex set, vertex indices or a boolean mask ({len(mesh.vertices)},){alternative}"
        )
        found = _indices(vertices, len(mesh.vertices), name, "vertex", "vertices", what).to(mesh.cells.device)
    if not len(found):
        low, high = mesh.vertices.amin(0).tolist(), mesh.vertices.amax(0).tolist()
        raise ValueError(
            f"{name} selects none of the {len(mesh.vertices)} vertices, which lie from {low} to {high} m. "
            f"Compare coordinates with a tolerance, or name a vertex set of {list(mesh.vertex_sets)}."
        )
    return found


def cell_indices(mesh: Mesh, cells: Any, *, name: str) -> Int[Tensor, "_"]:
    """Return selected cells, ascending: regions by one name or several, indices, or a mask `(M,)`.

    Raises:
        ValueError: naming `name`, if they are none of these, no cells of this mesh, or none at all.
    """
    count, names = len(checked_instance("mesh", mesh, Mesh).cells), mesh.region_names
    several = isinstance(cells, (list, tuple)) and bool(cells) and all(isinstance(c, str) for c in cells)
    wanted = list(cells) if several else [cells] if isinstance(cells, str) else []
    if unknown := [region for region in wanted if region not in names]:
        raise ValueError(f"{name}: the mesh has no region {unknown[0]!r}; it has {list(names)}.")
    if wanted:
        ids = torch.tensor([names.index(region) for region in wanted], device=mesh.cells.device)
        found = torch.isin(mesh.cell_regions, ids).nonzero().flatten()
    else:
        what = f"the name of a region or several, cell indices or a boolean mask ({count},)"
        found = _indices(cells, count, name, "cell", "cells", what).to(mesh.cells.device)
    if not len(found):
        raise ValueError(f"{name} selects none of the {count} cells; the mesh has the regions {list(names)}.")
    return found


def fixed_components(mesh: Mesh, fixed: Tensor | str | None) -> Bool[Tensor, "N 3"]:
    """Return which components of the vertices are fixed.

    Args:
        mesh: whose vertices.
        fixed: a mask of components `(N, 3)`, or vertices as for `vertex_indices`; none by default.
    """
    mask = torch.zeros(len(mesh.vertices), 3, dtype=torch.bool)
    if isinstance(fixed, Tensor) and fixed.dtype == torch.bool and fixed.shape == mask.shape:
        vertex_indices(mesh, fixed.any(-1), name="fixed")  # refuses a mask without any
        return fixed.cpu()
    if fixed is not None:
        components = f" or {tuple(mask.shape)}"
        mask[vertex_indices(mesh, fixed, name="fixed", alternative=components).cpu()] = True
    return mask


def _indices(given: Any, count: int, name: str, one: str, many: str, what: str) -> Int[Tensor, "_"]:
    """Return indices below a count, or those of a mask; raises ValueError, saying `what` is wanted."""
    found = _plain(given)
    if found is not None and found.dtype == torch.bool and found.shape == (count,):
        return found.nonzero().flatten()
    if found is None or found.dtype == torch.bool or found.ndim != 1:
        raise ValueError(f"{name} must be {what}, got {described(given)}.")
    indices = found.to(torch.int64)
    wrong = indices[(indices < 0) | (indices >= count)]
    if len(wrong):
        raise ValueError(f"{name} holds {one} {int(wrong[0])}, but the mesh has {many} 0 to {count - 1}.")
    return indices.unique()


def _plain(vertices: Any) -> Tensor | None:
    """Return integers or truth values as a tensor, None if they are neither."""
    if not isinstance(vertices, Tensor):
        try:
            array = np.array(vertices)
        except (TypeError, ValueError, RuntimeError):  # ragged, or of objects that have no numbers
            return None
        # Copied by then: torch takes no negative strides.
        vertices = torch.from_numpy(array) if array.dtype.kind in "biu" else None
    elif vertices.is_meta or vertices.is_complex() or vertices.is_floating_point() or vertices.is_sparse:
        return None
    return vertices
