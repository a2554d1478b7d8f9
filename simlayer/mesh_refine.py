"""A finer mesh of the same body."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from simlayer.mesh import Mesh

_EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
# Corners 0 to 3 are the cell's, 4 to 9 the middles of the edges above. Four cells at the corners, and the
# octahedron between them cut along the line from the middle of edge 02 to that of edge 13.
_CHILDREN = (
    (0, 4, 5, 6), (4, 1, 7, 8), (5, 7, 2, 9), (6, 8, 9, 3),
    (4, 5, 6, 8), (4, 5, 8, 7), (5, 6, 8, 9), (5, 7, 9, 8),
)  # fmt: skip


def refined(mesh: Mesh) -> Mesh:
    """Every tetrahedron cut into eight, at the middles of its edges.

    The first N vertices are those of `mesh`. A vertex set gains the middles of edges whose two ends it holds;
    regions are inherited.
    """
    count = len(mesh.vertices)
    edges = mesh.cells[:, torch.tensor(_EDGES)].sort(-1).values
    ends, middles = edges.reshape(-1, 2).unique(dim=0, return_inverse=True)
    corners = torch.cat([mesh.cells, count + middles.view(-1, len(_EDGES))], 1)
    vertices = torch.cat([mesh.vertices, mesh.vertices[ends].mean(1)])
    cells = corners[:, torch.tensor(_CHILDREN)].flatten(0, 1)
    return Mesh(
        vertices,
        cells,
        vertex_sets={name: _grown(found, ends, count) for name, found in mesh.vertex_sets.items()},
        cell_regions=mesh.cell_regions.repeat_interleave(len(_CHILDREN)),
        region_names=mesh.region_names,
        source=f"{mesh.source}, refined",
    )


def _grown(found: Int[Tensor, "_"], ends: Int[Tensor, "E 2"], count: int) -> Int[Tensor, "_"]:
    member = torch.zeros(count, dtype=torch.bool)
    member[found] = True
    return torch.cat([found, count + member[ends].all(1).nonzero().flatten()])
