"""Distances from a surface to scanned points, the reverse of `signed_distances`."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.identification.closest_points import closest_points
from simlayer.identification.constant_search import constant_search

# The number of closest points among which one that faces the same way is looked for.
_CANDIDATES = 8


class SurfaceDistances(NamedTuple):
    """How far the S triangles of a surface are from what was scanned.

    Attributes:
        distances: of the centroid of each triangle from the closest point along the normal [m], positive
            where the surface lies outside; reduced where that point is far, and zero beyond the reach.
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
    """Return the distances of the centroids of triangles from the closest scanned points on their side [m].

    They are measured along the normal, since a distance along the surface says nothing about its place, and
    multiplied by (1 - d²/reach²)² for a point at distance d (the biweight of Beaton and Tukey 1974), so that
    parts that were not scanned have no influence. A point is on the side of a triangle if the surface next to
    the point faces the same way, up to 60 degrees. Derivatives are exact, with respect to the points too.

    Args:
        positions: of the vertices [m].
        triangles: of the surface, anticlockwise seen from outside.
        points: of the scan, finite [m].
        reach: the distance beyond which a point has no influence [m].
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
    """Return the closest point on the side of each triangle, and 1, or 0 if the closest few have none."""
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
