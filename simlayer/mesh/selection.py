"""Vertices selected by name, index or mask."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from simlayer.mesh.mesh import Mesh


def vertex_indices(
    mesh: Mesh, vertices: Tensor | str, *, name: str, alternative: str = ""
) -> Int[Tensor, "_"]:
    """Return selected vertices, ascending: a vertex set by its name, indices, or a mask `(N,)`.

    Raises:
        ValueError: naming `name`, and an `alternative` of the caller's own, if they are none of these, or no
            vertices of this mesh.
    """
    count = len(mesh.vertices)
    if isinstance(vertices, str):
        if vertices not in mesh.vertex_sets:
            raise ValueError(f"the mesh has no vertex set {vertices!r}; it has {list(mesh.vertex_sets)}.")
        return mesh.vertex_sets[vertices]
    vertices = torch.as_tensor(vertices).to(mesh.cells.device)
    if vertices.dtype == torch.bool and vertices.shape == (count,):
        return vertices.nonzero().flatten()
    if vertices.dtype != torch.int64 or vertices.ndim != 1:
        raise ValueError(
            f"{name} must be the name of a vertex set, vertex indices or a boolean mask ({count},)"
            f"{alternative}, got {tuple(vertices.shape)} {vertices.dtype}."
        )
    wrong = vertices[(vertices < 0) | (vertices >= count)]
    if len(wrong):
        raise ValueError(f"{name} holds vertex {int(wrong[0])}, but the mesh has vertices 0 to {count - 1}.")
    return vertices.unique()
