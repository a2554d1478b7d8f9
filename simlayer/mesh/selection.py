"""Vertices selected by name, index or mask."""

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
    found = _indices(mesh, vertices, name, alternative)
    if not len(found):
        low, high = mesh.vertices.amin(0).tolist(), mesh.vertices.amax(0).tolist()
        raise ValueError(
            f"{name} selects none of the {len(mesh.vertices)} vertices, which lie from {low} to {high} m. "
            f"Compare coordinates with a tolerance, or name a vertex set of {list(mesh.vertex_sets)}."
        )
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


def _indices(mesh: Mesh, vertices: Tensor | str, name: str, alternative: str) -> Int[Tensor, "_"]:
    count = len(checked_instance("mesh", mesh, Mesh).vertices)
    if isinstance(vertices, str):
        if vertices not in mesh.vertex_sets:
            raise ValueError(
                f"{name}: the mesh has no vertex set {vertices!r}; it has {list(mesh.vertex_sets)}."
            )
        return mesh.vertex_sets[vertices]
    found = _plain(vertices)
    if found is not None and found.dtype == torch.bool and found.shape == (count,):
        return found.to(mesh.cells.device).nonzero().flatten()
    if found is None or found.dtype == torch.bool or found.ndim != 1:
        raise ValueError(
            f"{name} must be the name of a vertex set, vertex indices or a boolean mask ({count},)"
            f"{alternative}, got {described(vertices)}."
        )
    vertices = found.to(mesh.cells.device, torch.int64)
    wrong = vertices[(vertices < 0) | (vertices >= count)]
    if len(wrong):
        raise ValueError(f"{name} holds vertex {int(wrong[0])}, but the mesh has vertices 0 to {count - 1}.")
    return vertices.unique()


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
