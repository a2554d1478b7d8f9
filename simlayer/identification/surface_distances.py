"""Distances from a surface to points that were scanned of it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.identification.closest_points import closest_points
from simlayer.identification.constant_search import constant_search

# How many points next to a triangle may be of another side.
_CANDIDATES = 8


class SurfaceDistances(NamedTuple):
    """How far the S triangles of a surface are from what was scanned.

    Attributes:
        distances: of the middle of each triangle from the closest point along the normal [m], positive where
            the surface lies outside; less where that point is far, and zero where none is within the reach.
        closest: the index of this point.
    """

    distances: Float[Tensor, "S"]
    closest: Int[Tensor, "S"]


def surface_distances(
    positions: Float[Tensor, "N 3"],
    triangles: Int[Tensor, "S 3"],
    points: Float[Tensor, "K 3"],
    reach: float,
) -> SurfaceDistances:
    """Return how far the middle of each triangle of a surface is from the closest point of its side.

    Along the normal, since the way to a point beside says nothing about the surface; times (1 - d²/reach²)²
    where the point is d away (the biweight of Beaton and Tukey 1974), so that a part that was not seen has no
    influence. A point is of the side of a triangle if the surface next to the point faces the same way, up to
    60 degrees; points beyond an edge are not. Exact derivatives, by the points too.

    Args:
        positions: of the vertices [m].
        triangles: of the surface, anticlockwise seen from outside.
        points: of the scan, finite [m].
        reach: from where on a point is none of this part of the surface [m].
    """
    a, b, c = (positions[corner] for corner in triangles.T)
    middles = (a + b + c) / 3
    closest, seen = constant_search(lambda p, x: _nearest(p, x, triangles.cpu()), points, positions)
    arms = middles - points[closest]
    normals = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=1)
    weights = seen * (1 - arms.square().sum(1) / reach**2).clamp(min=0).square()
    return SurfaceDistances(weights * (normals * arms).sum(1), closest)


def _nearest(
    points: Float[Tensor, "K 3"], positions: Float[Tensor, "N 3"], triangles: Int[Tensor, "S 3"]
) -> tuple[Int[Tensor, "S"], Float[Tensor, "S"]]:
    """Return the closest point of the side of each triangle, and 1 if it is among the next few, else 0."""
    # Imported here because `import simlayer` would take longer.
    from scipy.spatial import cKDTree

    a, b, c = (positions[corner] for corner in triangles.T)
    normals = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=1)
    tree = cKDTree(points.numpy())
    _, found = tree.query(((a + b + c) / 3).numpy(), k=list(range(1, 1 + min(_CANDIDATES, len(points)))))
    candidates = torch.from_numpy(found).long()
    outward = closest_points(points, positions, triangles)[2]
    facing = (outward[candidates] * normals[:, None]).sum(-1) > 0.5
    first = facing.int().argmax(1, keepdim=True)
    return candidates.gather(1, first)[:, 0], facing.any(1).to(positions)
