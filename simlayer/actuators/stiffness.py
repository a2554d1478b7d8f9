"""Bounds of the stiffness of what is attached to vertices, for the stable step of explicit schemes."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from simlayer.fem.finite_elements import FiniteElements
from simlayer.mesh.mesh import Mesh


class CellBound(nn.Module):
    """Divides the stiffness of vertices among their cells, in proportion to their masses at rest.

    No cell then has a higher frequency than one of its vertices with all of its mass and stiffness.

    Args:
        mesh: the body.
    """

    cells: Tensor
    vertex_volumes: Tensor
    node_volumes: Tensor

    def __init__(self, mesh: Mesh) -> None:
        super().__init__()
        elements = FiniteElements(mesh, deterministic=False)
        self.register_buffer("cells", mesh.cells, persistent=False)
        volumes = elements.vertex_masses(torch.ones(()).to(mesh.vertices))
        self.register_buffer("vertex_volumes", volumes, persistent=False)
        self.register_buffer("node_volumes", elements.volumes / elements.nodes_per_cell, persistent=False)

    def forward(self, stiffness: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch M"]:
        """Return what `Force.stiffness_bound` does [N/m], for bounds of the stiffness of vertices [N/m]."""
        return (stiffness / self.vertex_volumes)[..., self.cells].amax(-1) * self.node_volumes


def row_sums(
    blocks: Float[Tensor, "*batch M D D"], connectivity: Int[Tensor, "M C"], num_vertices: int
) -> Float[Tensor, "*batch N"]:
    """Return for each vertex the largest sum of absolute values in the rows of a stiffness matrix [N/m].

    Over the mass of the vertex, the largest of all is at least the highest frequency squared (Gershgorin).
    """
    rows = blocks.abs().sum(-1).unflatten(-1, (-1, 3)).amax(-1)
    zeros = torch.zeros(*rows.shape[:-2], num_vertices).to(rows)
    return zeros.index_add(-1, connectivity.flatten(), rows.flatten(-2))
