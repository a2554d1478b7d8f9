"""Geometry of linear tetrahedra: signed volumes, edge lengths, and keys that tell rows of indices apart."""

from itertools import combinations

import torch
from jaxtyping import Float, Int
from torch import Tensor

EDGES = tuple(combinations(range(4), 2))
LARGEST_KEY = 2**63 - 1


def signed_volumes(vertices: Float[Tensor, "N 3"], cells: Int[Tensor, "M 4"]) -> Float[Tensor, "M"]:
    """Volume of each tetrahedron [m³], positive when corners 1, 2, 3 turn anticlockwise seen from outside.

    det[x1 - x0, x2 - x0, x3 - x0] / 6, by the scalar triple product.
    """
    origin, first, second, third = (vertices[corner] for corner in cells.unbind(1))
    return ((first - origin) * torch.linalg.cross(second - origin, third - origin)).sum(1) / 6


def longest_edges(vertices: Float[Tensor, "N 3"], cells: Int[Tensor, "M 4"]) -> Float[Tensor, "M"]:
    """Length of the longest edge of each tetrahedron [m]."""
    corners = [vertices[corner] for corner in cells.unbind(1)]
    squared = [(corners[a] - corners[b]).square().sum(1) for a, b in EDGES]
    return torch.stack(squared).amax(0).sqrt()


def row_keys(rows: Int[Tensor, "R K"], count: int) -> Int[Tensor, "R"]:
    """An integer for each row, equal where two rows hold the same indices below `count`, in any order."""
    columns = rows.sort(1).values.unbind(1)
    keys, bound = columns[0], count
    for column in columns[1:]:
        # Renumbering the partial keys keeps the next product inside 64 bits on meshes of any size;
        # comparing rows (unique over a dimension) is ten times slower than comparing integers.
        if bound * count > LARGEST_KEY:
            keys = keys.unique(return_inverse=True)[1]
            bound = len(keys)
        keys, bound = keys * count + column, bound * count
    return keys
