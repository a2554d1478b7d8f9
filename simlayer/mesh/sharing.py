"""Checks of what cells share: no cell comes twice, faces have a cell on either side, edges one middle."""

import torch
from jaxtyping import Int
from torch import Tensor

from simlayer.elements.types import element_of
from simlayer.mesh.faces import shared_faces
from simlayer.mesh.geometry import row_keys
from simlayer.mesh.validation import MeshError, SourceNumbering, offenders

_NUMBERS = {4: "four", 8: "eight", 10: "ten", 20: "twenty"}


def check_sharing(cells: Int[Tensor, "M C"], vertex_count: int, numbering: SourceNumbering) -> None:
    """Check that no cell comes twice, no face is shared by more than two cells, no edge has two middles."""
    _, inverse, counts = row_keys(cells, vertex_count).unique(return_inverse=True, return_counts=True)
    repeated = counts[inverse] > 1
    if repeated.any():
        raise MeshError(
            f"{numbering.source}: every cell must come once; the same {_NUMBERS[cells.shape[1]]} vertices "
            f"make up cells {offenders(repeated, numbering.cells)}. Keep one of each (Gmsh's "
            "format 2.2 repeats cells that are in several groups: save as 4.1)."
        )
    check_sides(cells, vertex_count, numbering)
    _check_middles(cells, vertex_count, numbering)


def check_sides(cells: Int[Tensor, "M C"], vertex_count: int, numbering: SourceNumbering) -> None:
    """Check that a face is shared by two cells at most, one on either side of it."""
    owners, excess = shared_faces(cells, vertex_count)
    crowded, folded = (owners > 2).any(1), (excess > 1).any(1)
    if crowded.any():
        raise MeshError(
            f"{numbering.source}: a face belongs to at most two cells; more than two share one in cells "
            f"{offenders(crowded, numbering.cells)}. They overlap: remove them, or mesh the body again."
        )
    if folded.any():
        raise MeshError(
            f"{numbering.source}: two cells that share a face lie on either side of it; on the same side, "
            f"so that they overlap, are cells {offenders(folded, numbering.cells)}. Some are folded over "
            "others, which no order of their nodes mends: mesh the body again."
        )


def _check_middles(cells: Int[Tensor, "M C"], vertex_count: int, numbering: SourceNumbering) -> None:
    """Check that cells sharing an edge share the vertex in its middle, or the body would come apart there."""
    edges = cells[:, torch.tensor(element_of(cells).edges, device=cells.device)]
    if edges.shape[-1] == 2:
        return
    middles = edges[..., 2].flatten()
    _, edge = row_keys(edges[..., :2].flatten(0, 1), vertex_count).unique(return_inverse=True)
    least = torch.full_like(middles, vertex_count).scatter_reduce(0, edge, middles, "amin")
    owner = torch.full((vertex_count,), len(edge), device=cells.device).scatter_reduce(
        0, middles, edge, "amin"
    )
    split = ((middles != least[edge]) | (owner[middles] != edge)).view(len(cells), -1).any(1)
    if split.any():
        raise MeshError(
            f"{numbering.source}: every edge has a vertex of its own in the middle, common to all cells that "
            f"share the edge; it is not so in cells {offenders(split, numbering.cells)}. Merge vertices that "
            "coincide, or check that the nodes are in the order of VTK."
        )
