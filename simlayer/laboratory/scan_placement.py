"""Places a scan whose frame is not exactly that of the mesh onto a body, with derivatives."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from simlayer.identification.constant_search import constant_search
from simlayer.identification.outliers import outlier_scale, outlier_weights
from simlayer.identification.rigid_alignment import distance_columns, least_squares_motion, rigid_alignment

# The most steps of an alignment within a fit, which starts near its solution.
_STEPS = 50


def placed_scan(
    points: Float[Tensor, "K 3"],
    positions: Float[Tensor, "N 3"],
    triangles: Int[Tensor, "S 3"],
    *,
    present: Bool[Tensor, "K"],
    outlier_distance: float | None,
) -> Float[Tensor, "K 3"]:
    """Return points moved rigidly to where they are closest to a surface, with derivatives.

    The derivatives are those of the motion that minimizes the linearized distances. With them the residuals
    have the gradient of variable projection, with Kaufman's approximation of their Jacobian (1975).

    Args:
        points: of a scan [m].
        positions: of the vertices of the surface [m].
        triangles: anticlockwise seen from outside.
        present: which points count.
        outlier_distance: the distance beyond which a point counts little [m]; None: all count alike.
    """

    def search(given: Tensor, vertices: Tensor) -> tuple[Tensor, ...]:
        return rigid_alignment(
            given,
            vertices,
            triangles,
            present=present.cpu(),
            outlier_distance=outlier_distance,
            max_steps=_STEPS,
        )

    rotation, shift, _ = constant_search(search, points, positions)
    moved = points @ rotation.T + shift
    center = moved[present].mean(0)
    distances, columns = distance_columns(moved, positions, triangles, center)
    here = distances.detach()
    weights = torch.where(present, 1.0, 0.0).to(here)
    if outlier_distance is not None:
        weights = weights * outlier_weights(here, outlier_scale(here, present, outlier_distance))
    size = (moved[present] - center).norm(dim=1).max()
    # Its value is zero; it only adds derivatives.
    change = least_squares_motion(columns, weights, size) @ (weights * (here - distances))
    return moved + change[:3] + torch.linalg.cross(change[3:].expand_as(moved), moved - center)
