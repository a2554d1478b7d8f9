"""The faces of cells, and the boundary of a mesh."""

import torch
from jaxtyping import Int
from torch import Tensor

from simlayer.elements.types import element_of
from simlayer.mesh.geometry import row_keys


def cell_faces(cells: Int[Tensor, "M C"]) -> Int[Tensor, "M S K"]:
    """Return the outward faces of each cell: corners, then the middles of the sides, if they are nodes."""
    return cells[:, torch.tensor(element_of(cells).faces, device=cells.device)]


def _face_keys(cells: Int[Tensor, "M C"], vertex_count: int) -> Int[Tensor, "MS"]:
    """Return an integer for each face of each cell, equal where faces have equal corners."""
    corners = cell_faces(cells)[..., : element_of(cells).face_corners]
    return row_keys(corners.flatten(0, 1), vertex_count)


def shared_faces(
    cells: Int[Tensor, "M C"], vertex_count: int
) -> tuple[Int[Tensor, "M S"], Int[Tensor, "M S"]]:
    """Return how many cells share each face of each cell, and how many more of them see it turning one way.

    The first is 1 on the boundary, 2 inside, else the face is non-manifold. The second is 0 between two cells
    on either side of a face; two cells on the same side overlap.
    """
    _, inverse, counts = _face_keys(cells, vertex_count).unique(return_inverse=True, return_counts=True)
    corners = cell_faces(cells)[..., : element_of(cells).face_corners].flatten(0, 1)
    lowest = corners.argmin(1, keepdim=True)
    after, before = (corners.gather(1, (lowest + step) % corners.shape[1]) for step in (1, -1))
    turns = torch.where(after < before, 1, -1).flatten()
    excess = torch.zeros_like(counts).index_add(0, inverse, turns).abs()
    return counts[inverse].view(len(cells), -1), excess[inverse].view(len(cells), -1)


def face_owners(cells: Int[Tensor, "M C"], vertex_count: int) -> Int[Tensor, "M S"]:
    """Return how many cells share each face of each cell: 1 on the boundary, 2 inside, else non-manifold."""
    _, inverse, counts = _face_keys(cells, vertex_count).unique(return_inverse=True, return_counts=True)
    return counts[inverse].view(len(cells), -1)


def boundary_faces_and_owners(
    cells: Int[Tensor, "M C"], vertex_count: int
) -> tuple[Int[Tensor, "S K"], Int[Tensor, "S"]]:
    """Return the faces that belong to one cell only, outward, in the order of cells, and these cells."""
    outside = face_owners(cells, vertex_count) == 1
    return cell_faces(cells)[outside], outside.nonzero()[:, 0]


def boundary_and_owners(
    cells: Int[Tensor, "M C"], vertex_count: int
) -> tuple[Int[Tensor, "S 3"], Int[Tensor, "S"]]:
    """Return the faces that belong to one cell only, cut into triangles, and these cells."""
    faces, owners = boundary_faces_and_owners(cells, vertex_count)
    return _triangles(cells, faces, owners)


def interior_faces(
    cells: Int[Tensor, "M C"], vertex_count: int
) -> tuple[Int[Tensor, "F 2"], Int[Tensor, "F 3"]]:
    """Return the two cells on either side of each face inside a body, and the face, cut into triangles.

    Triangles are outward from the first of the two cells.
    """
    faces, per_cell = cell_faces(cells).flatten(0, 1), len(element_of(cells).faces)
    _, inverse, counts = _face_keys(cells, vertex_count).unique(return_inverse=True, return_counts=True)
    # A stable sort puts the two sides of a face next to each other.
    order = torch.argsort(inverse, stable=True)
    first, second = order[counts[inverse[order]] == 2].unflatten(0, (-1, 2)).unbind(1)
    triangles, sides = _triangles(cells, faces[first], torch.stack([first, second], 1) // per_cell)
    return sides, triangles


def _triangles(
    cells: Int[Tensor, "M C"], faces: Int[Tensor, "S K"], owners: Int[Tensor, "S *two"]
) -> tuple[Int[Tensor, "R 3"], Int[Tensor, "R *two"]]:
    """Cut faces into triangles through all of their nodes, each with the owners of its face."""
    cuts = torch.tensor(element_of(cells).face.triangles, device=cells.device)
    return faces[:, cuts].flatten(0, 1), owners.repeat_interleave(len(cuts), 0)
