"""Faces of tetrahedra, and the surface that they leave open."""

import torch
from jaxtyping import Int
from torch import Tensor

from simlayer.mesh_geometry import row_keys

# Corners of the face opposite to corner 0, 1, 2, 3, anticlockwise seen from outside a positive cell.
FACES = ((1, 2, 3), (0, 3, 2), (0, 1, 3), (0, 2, 1))


def cell_faces(cells: Int[Tensor, "M 4"]) -> Int[Tensor, "M 4 3"]:
    """The four outward triangles of each cell."""
    return torch.stack([cells[:, list(face)] for face in FACES], 1)


def face_owners(cells: Int[Tensor, "M 4"], vertex_count: int) -> Int[Tensor, "M 4"]:
    """How many cells share each face of each cell: 1 on the boundary, 2 inside, more if non-manifold."""
    keys = row_keys(cell_faces(cells).flatten(0, 1), vertex_count)
    _, inverse, counts = keys.unique(return_inverse=True, return_counts=True)
    return counts[inverse].view(len(cells), 4)


def boundary_triangles(cells: Int[Tensor, "M 4"], vertex_count: int) -> Int[Tensor, "S 3"]:
    """Faces that belong to one cell only, outward, in the order of their cells."""
    return boundary_and_owners(cells, vertex_count)[0]


def boundary_and_owners(
    cells: Int[Tensor, "M 4"], vertex_count: int
) -> tuple[Int[Tensor, "S 3"], Int[Tensor, "S"]]:
    """The same with the cell that each belongs to."""
    outside = face_owners(cells, vertex_count) == 1
    return cell_faces(cells)[outside], outside.nonzero()[:, 0]


def interior_faces(
    cells: Int[Tensor, "M 4"], vertex_count: int
) -> tuple[Int[Tensor, "F 2"], Int[Tensor, "F 3"]]:
    """The two cells on either side of each face inside a body, and its triangle, outward from the first."""
    faces = cell_faces(cells).flatten(0, 1)
    _, inverse, counts = row_keys(faces, vertex_count).unique(return_inverse=True, return_counts=True)
    # A stable sort puts the two sides of a face next to each other.
    order = torch.argsort(inverse, stable=True)
    first, second = order[counts[inverse[order]] == 2].unflatten(0, (-1, 2)).unbind(1)
    return torch.stack([first, second], 1) // 4, faces[first]
