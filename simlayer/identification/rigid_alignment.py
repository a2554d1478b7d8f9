"""The rigid motion that brings scanned points onto a surface: iterative closest points (ICP)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from simlayer.identification.closest_points import closest_points
from simlayer.identification.outliers import outlier_scale, outlier_weights
from simlayer.linalg.rotation import rotation_matrix

# Motions that change the distances by less than this share of the largest change are not determined.
_INVISIBLE = 1e-6

# The last step of an alignment, as a share of the size of the scan.
_CONVERGED = 1e-8


class RigidAlignment(NamedTuple):
    """A rigid motion x → R x + t.

    Attributes:
        rotation: R.
        translation: t [m].
        step: how far the last step moved points, as a share of the size of the scan.
    """

    rotation: Float[Tensor, "3 3"]
    translation: Float[Tensor, "3"]
    step: Float[Tensor, ""]


def rigid_alignment(
    points: Float[Tensor, "K 3"],
    positions: Float[Tensor, "N 3"],
    triangles: Int[Tensor, "S 3"],
    *,
    present: Bool[Tensor, "K"],
    outlier_distance: float | None,
    max_steps: int,
) -> RigidAlignment:
    """Return the motion of points that minimizes the sum of their squared distances from a surface.

    This is point-to-plane ICP (Chen and Medioni 1992): Gauss-Newton in the distances to the planes through
    the closest points lets points slide along the surface, and takes few steps where point-to-point ICP (Besl
    and McKay 1992) takes hundreds along a bar. Outliers are damped as by `damp_outliers`, by iteratively
    reweighted least squares. It finds the minimum nearest to the start.

    Args:
        points: of a scan [m].
        positions: of the vertices of the surface [m].
        triangles: anticlockwise seen from outside.
        present: which points count.
        outlier_distance: the distance beyond which a point counts little [m]; None: all count alike.
        max_steps: the largest number of steps.
    """
    given, vertices = points[present].double().cpu(), positions.double().cpu()
    rotation, shift = torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    step = torch.tensor(torch.inf, dtype=torch.float64)
    everywhere = torch.ones(len(given), dtype=torch.bool)
    for _ in range(max_steps):
        moved = given @ rotation.T + shift
        center = moved.mean(0)
        distances, columns = distance_columns(moved, vertices, triangles.cpu(), center)
        weights = torch.ones_like(distances)
        if outlier_distance is not None:
            scale = outlier_scale(distances, everywhere, outlier_distance)
            weights = outlier_weights(distances, scale)
        size = (moved - center).norm(dim=1).max().clamp(min=1e-300)
        change = -least_squares_motion(columns, weights, size) @ (weights * distances)
        turn = rotation_matrix(change[3:])
        rotation, shift = turn @ rotation, turn @ (shift - center) + center + change[:3]
        step = change[:3].norm() / size + change[3:].norm()
        if step < _CONVERGED:
            break
    return RigidAlignment(rotation, shift, step)


def distance_columns(
    points: Float[Tensor, "K 3"],
    positions: Float[Tensor, "N 3"],
    triangles: Int[Tensor, "S 3"],
    center: Float[Tensor, "3"],
) -> tuple[Float[Tensor, "K"], Float[Tensor, "K 6"]]:
    """Return the signed distances of points from a surface [m], and their derivatives by a rigid motion.

    The motion of the points is a shift [m] and a rotation vector [rad] about a center.
    """
    corners, weights, normals = closest_points(points, positions, triangles)
    closest = (weights[..., None] * positions[corners]).sum(1)
    turns = torch.linalg.cross(points - center, normals)
    return (normals * (points - closest)).sum(1), torch.cat([normals, turns], 1)


def least_squares_motion(
    columns: Float[Tensor, "K 6"], weights: Float[Tensor, "K"], size: Float[Tensor, ""]
) -> Float[Tensor, "6 K"]:
    """Return the matrix C with which -C W r is the motion that minimizes Σ w r², for K distances r.

    The motion has no part that hardly changes any distance, such as a rotation about the axis of a cylinder.
    """
    lengths = torch.cat([columns.new_ones(3), size.expand(3)])
    scaled = columns / lengths
    sizes, directions = torch.linalg.eigh(scaled.T @ (weights[:, None] * scaled))
    seen = sizes > _INVISIBLE * sizes[-1]
    inverse = torch.where(seen, 1 / torch.where(seen, sizes, 1.0), 0.0)
    return (directions * inverse) @ directions.T @ scaled.T / lengths[:, None]


def motion_between(
    points: Float[Tensor, "K 3"], moved: Float[Tensor, "K 3"]
) -> tuple[Float[Tensor, "3 3"], Float[Tensor, "3"]]:
    """Return the rotation that best maps points to moved ones, and the shift of their mean (Kabsch 1976)."""
    before, after = points.mean(0), moved.mean(0)
    u, _, v = torch.linalg.svd((moved - after).T @ (points - before))
    handed = torch.tensor([1.0, 1.0, float(torch.linalg.det(u @ v))]).to(points)
    return (u * handed) @ v, after - before
