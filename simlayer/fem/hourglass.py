"""Hourglass modes: motions of a body that strain no quadrature point of its cells."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.elements.types import ELEMENT_TYPES
from simlayer.fem.finite_elements import FiniteElements
from simlayer.mesh.faces import cell_faces, face_owners


def hourglass_faces(elements: FiniteElements, free: Float[Tensor, "N 3"]) -> Int[Tensor, "S K"]:
    """Return the faces of which each has a motion in its plane that strains no quadrature point.

    The strains at 8 points leave a hex20 six such motions, one for each face: its corners move along the
    diagonals, the middles of its sides by half as much along the sides, and the edges across it follow,
    linearly to the opposite face. On both sides of a face it is one and the same. Other cells with a node of
    the face do not follow, so that only a cross-section or an end of what is one cell thick in two directions
    can move. Where cells are not parallelepipeds, these motions have a stiffness, below that of any other.

    Args:
        elements: the cells with their quadrature.
        free: which components are not fixed: 1, or 0.
    """
    cells, element = elements.mesh.cells, ELEMENT_TYPES[elements.mesh.element]
    faces, points = cell_faces(cells), elements.weights.shape[0] if elements.has_points else 1
    valence = torch.bincount(cells.flatten(), minlength=len(free))[faces]
    # As many strains as motions that are not rigid are enough; and a face has no more than two sides.
    if 6 * points >= 3 * element.num_nodes - 6 or not bool((valence <= 2).all(-1).any()):
        return faces[:0, 0]
    alone = (valence == face_owners(cells, len(free))[..., None]).all(-1)
    moves = free.to(cells.device).bool().all(-1)
    # The middles of the edges that have one end in the face.
    across = [[m for a, b, m in element.edges if (a in face) != (b in face)] for face in element.faces]
    moves_with = moves[faces].all(-1) & moves[cells[:, across]].all(-1)
    # Once for both sides of a face, of which neither may be held.
    distinct, sides = faces.sort(-1).values.flatten(0, 1).unique(dim=0, return_inverse=True)
    held = torch.zeros(len(distinct), dtype=torch.int64, device=cells.device)
    held.index_add_(0, sides, (~(alone & moves_with)).flatten().long())
    return distinct[held == 0]
