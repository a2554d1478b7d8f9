"""Geometry of cells: signed volumes, edge lengths, and keys that distinguish rows of indices."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.elements.types import element_of

LARGEST_KEY = 2**63 - 1


def jacobian_determinants(
    vertices: Float[Tensor, "*batch N 3"], cells: Int[Tensor, "M C"], points: Float[Tensor, "P 3"]
) -> Float[Tensor, "*batch P M"]:
    """Return det dX/dxi [m³] of the map from the reference cell at some of its points: 6 volumes for tet4."""
    slopes = element_of(cells).shape.gradients(points.to(vertices))[:, 1:]
    # Differences to a corner are exact where absolute positions, far from the origin, lose digits.
    edges = vertices[..., cells[:, 1:], :] - vertices[..., cells[:, :1], :]
    first, second, third = torch.einsum("...mci,pcj->j...pmi", edges, slopes).unbind()
    return (first * torch.linalg.cross(second, third)).sum(-1)


def signed_volumes(vertices: Float[Tensor, "N 3"], cells: Int[Tensor, "M C"]) -> Float[Tensor, "M"]:
    """Return the volume of each cell [m³], positive when its faces turn anticlockwise seen from outside.

    Exact, for curved edges too: the determinant is a polynomial.
    """
    points, weights = element_of(cells).volume_rule.tensors()
    return weights.to(vertices) @ jacobian_determinants(vertices, cells, points)


def longest_edges(vertices: Float[Tensor, "N 3"], cells: Int[Tensor, "M C"]) -> Float[Tensor, "M"]:
    """Return the distance between the ends of the longest edge of each cell [m]."""
    ends = cells[:, [edge[:2] for edge in element_of(cells).edges]]
    return (vertices[ends[..., 0]] - vertices[ends[..., 1]]).norm(dim=-1).amax(1)


def row_keys(rows: Int[Tensor, "R K"], count: int) -> Int[Tensor, "R"]:
    """Return an integer for each row, equal for rows of the same indices below `count` in any order."""
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
