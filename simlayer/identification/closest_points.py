"""The points of a surface that are closest to given ones, and how far these are from the surface."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.identification.constant_search import constant_search


def signed_distances(
    points: Float[Tensor, "*#batch K 3"],
    positions: Float[Tensor, "*#batch N 3"],
    triangles: Int[Tensor, "S 3"],
) -> Float[Tensor, "*batch K"]:
    """Return the distance of each point from a surface [m], positive outside.

    The first derivatives by the positions are exact: the closest point may move along the surface, but that
    does not change the distance to first order (the envelope theorem; Danskin 1967). Second ones are not.
    Off an edge, the sign is that of one of the triangles that meet there.

    Args:
        points: any points, finite [m].
        positions: of the vertices [m].
        triangles: of the surface, anticlockwise seen from outside.
    """
    corners, weights, normals = closest_points(points, positions, triangles)
    index = corners.flatten(-2)[..., None].expand(*corners.shape[:-2], -1, 3)
    everywhere = positions.expand(*corners.shape[:-2], *positions.shape[-2:])
    nodes = everywhere.gather(-2, index).unflatten(-2, corners.shape[-2:])
    closest = (weights[..., None] * nodes).sum(-2)
    return (normals * (points - closest)).sum(-1)


def closest_points(
    points: Float[Tensor, "*#batch K 3"],
    positions: Float[Tensor, "*#batch N 3"],
    triangles: Int[Tensor, "S 3"],
) -> tuple[Int[Tensor, "*batch K 3"], Float[Tensor, "*batch K 3"], Float[Tensor, "*batch K 3"]]:
    """Return corners, barycentric coordinates and outward directions of the closest points of a surface.

    They are constants to all derivatives. Arguments as for `signed_distances`.
    """
    surface = triangles.cpu()

    def search(given: Tensor, vertices: Tensor) -> tuple[Tensor, ...]:
        best, weights, directions = _closest(given, vertices[surface])
        return surface[best], weights, directions

    corners, weights, directions = constant_search(search, points, positions)
    return corners, weights, directions


def _closest(
    points: Float[Tensor, "K 3"], corners: Float[Tensor, "S 3 3"]
) -> tuple[Int[Tensor, "K"], Float[Tensor, "K 3"], Float[Tensor, "K 3"]]:
    """Return the closest triangle, the barycentric coordinates in it, and the unit vector outward there."""
    point, triangle = _candidates(points, corners)
    weights = barycentric(points[point], corners[triangle])
    arms = points[point] - (weights[..., None] * corners[triangle]).sum(1)
    distances = arms.norm(dim=1)
    # The first of each point's candidates, by point and then by distance.
    order = torch.from_numpy(np.lexsort((distances.numpy(), point.numpy())))
    first = order[torch.cat([torch.ones(1, dtype=torch.bool), point[order].diff() > 0])]
    best, arms, distances = triangle[first], arms[first], distances[first]
    a, b, c = corners[best].unbind(1)
    normals = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=1)
    outside = torch.where((arms * normals).sum(1, keepdim=True) < 0, -1.0, 1.0)
    # On the surface the way to it has no direction but the normal.
    touching = distances <= 1e-9 * (corners.amax((0, 1)) - corners.amin((0, 1))).max()
    directions = torch.where(touching[:, None], normals, outside * torch.nn.functional.normalize(arms, dim=1))
    return best, weights[first], directions


def _candidates(
    points: Float[Tensor, "K 3"], corners: Float[Tensor, "S 3 3"]
) -> tuple[Int[Tensor, "P"], Int[Tensor, "P"]]:
    """Return pairs of points and triangles among which is the closest triangle of every point."""
    # Imported here because `import simlayer` would take longer.
    from scipy.spatial import cKDTree

    middles = corners.mean(1)
    radius = float((corners - middles[:, None]).norm(dim=-1).max())
    tree = cKDTree(middles.numpy())
    _, near = tree.query(points.numpy())
    near = torch.from_numpy(near)
    weights = barycentric(points, corners[near])
    bound = (points - (weights[..., None] * corners[near]).sum(1)).norm(dim=1)
    # Whatever is closer than this has its middle within its own radius of the closest point.
    found = tree.query_ball_point(points.numpy(), (bound + radius).numpy() * (1 + 1e-9))
    counts = torch.tensor([len(row) for row in found])
    triangles = torch.from_numpy(np.concatenate(found).astype(np.int64))
    return torch.arange(len(points)).repeat_interleave(counts), triangles


def barycentric(points: Float[Tensor, "P 3"], corners: Float[Tensor, "P 3 3"]) -> Float[Tensor, "P 3"]:
    """Return the barycentric coordinates of the point of each triangle that is closest to each point."""
    a = corners[:, 0]
    sides, arm = corners[:, 1:] - a[:, None], points - a
    gram, along = sides @ sides.mT, (sides @ arm[..., None])[..., 0]
    determinant = gram[:, 0, 0] * gram[:, 1, 1] - gram[:, 0, 1] ** 2
    second = (gram[:, 1, 1] * along[:, 0] - gram[:, 0, 1] * along[:, 1]) / determinant
    third = (gram[:, 0, 0] * along[:, 1] - gram[:, 0, 1] * along[:, 0]) / determinant
    plane = torch.stack([1 - second - third, second, third], 1)
    ends = corners.roll(-1, 1) - corners
    share = (((points[:, None] - corners) * ends).sum(-1) / ends.square().sum(-1)).clamp(0, 1)
    distances = (points[:, None] - corners - share[..., None] * ends).norm(dim=-1)
    side = distances.argmin(1)
    share = share.gather(1, side[:, None])
    edge = torch.zeros_like(plane).scatter(1, side[:, None], 1 - share)
    edge = edge.scatter(1, ((side + 1) % 3)[:, None], share)
    return torch.where((plane >= 0).all(1, keepdim=True), plane, edge)
