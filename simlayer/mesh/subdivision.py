"""Cutting cells into others with nodes at given reference points, which neighbours share."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.elements.types import element_of
from simlayer.mesh.geometry import row_keys

# Weights of the corners come in this many parts: a quarter of the way along each of three axes.
_PARTS = 64


def cut(
    vertices: Float[Tensor, "N 3"], cells: Int[Tensor, "M C"], nodes: Float[Tensor, "K D 3"]
) -> tuple[Float[Tensor, "N_new 3"], Int[Tensor, "MK D"], Int[Tensor, "N_new P"]]:
    """Replace each cell by K new ones with D nodes at these reference points, multiples of 1/4.

    Returns the vertices, the first N of which are the given ones; the new cells; and for each vertex the old
    vertices at the corners of what it lies on (an edge, a face, a cell), with repetitions.
    """
    element, count = element_of(cells), len(vertices)
    own = torch.tensor(element.shape.nodes, dtype=torch.float64)
    points = torch.cat([own, nodes.flatten(0, 1).double()])
    # A point of a face or an edge is known by its weights on the corners of that alone, so neighbours agree.
    weights = (element.linear.functions(points) * _PARTS).round().long()
    corners = cells[:, None, : element.num_corners].expand(-1, len(points), -1)
    # One more than the vertex, so that no corner with a weight is taken for one without.
    marks = torch.where(weights > 0, (corners + 1) * (_PARTS + 1) + weights, 0)
    keys = row_keys(marks.flatten(0, 1), (count + 1) * (_PARTS + 1))
    _, place = keys.unique(return_inverse=True)
    index = _numbered(place.view(len(cells), -1), cells)
    new, total = index.flatten(), int(index.max()) + 1
    where = (element.shape.functions(points) @ vertices.double()[cells]).flatten(0, 1)
    grown = where.new_empty((total, 3)).index_copy(0, new, where).to(vertices.dtype)
    grown[:count] = vertices
    heaviest = weights.argmax(-1).expand(len(cells), -1)[..., None]
    parents = torch.where(weights > 0, corners, corners.gather(-1, heaviest)).flatten(0, 1)
    ancestors = new.new_empty((total, parents.shape[1])).index_copy(0, new, parents)
    return grown, index[:, len(own) :].reshape(-1, nodes.shape[1]), ancestors


def _numbered(place: Int[Tensor, "M P"], cells: Int[Tensor, "M C"]) -> Int[Tensor, "M P"]:
    """Return the vertex at each place: those of the cells keep their numbers, others follow in order."""
    number = torch.full((int(place.max()) + 1,), -1)
    number[place[:, : cells.shape[1]]] = cells
    number[number < 0] = torch.arange(int((number < 0).sum())) + cells.max() + 1
    return number[place]


def grown_set(found: Int[Tensor, "_"], ancestors: Int[Tensor, "A P"], vertex_count: int) -> Int[Tensor, "_"]:
    """Return a set with those of the new vertices, the last A of all, whose ancestors it holds."""
    member = torch.zeros(vertex_count, dtype=torch.bool)
    member[found] = True
    new = member[ancestors].all(1).nonzero().flatten()
    return torch.cat([found, vertex_count - len(ancestors) + new])
