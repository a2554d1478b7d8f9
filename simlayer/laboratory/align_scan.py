"""Moves a scan onto a body."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.errors import ConvergenceError
from simlayer.identification.rigid_alignment import rigid_alignment
from simlayer.laboratory.scan_points import checked_reach, checked_scan
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arguments import checked_integer
from simlayer.quantities.arrays import checked_numbers, described
from simlayer.quantities.objects import checked_instance

# An alignment has converged if its last step moved points by less than this share of the size of the scan.
_SETTLED = 1e-4


class AlignedScan(NamedTuple):
    """A scan of K points that was moved onto a body, by x → R x + t.

    Attributes:
        points: the moved points [m], NaN where the given ones were.
        rotation: R.
        translation: t [m].
    """

    points: Float[Tensor, "K 3"]
    rotation: Float[Tensor, "3 3"]
    translation: Float[Tensor, "3"]


def align_scan(
    points: Any,
    mesh: Mesh,
    *,
    positions: Any = None,
    outlier_distance: float | None = None,
    max_steps: int = 100,
) -> AlignedScan:
    """Move a scan rigidly to where its points are closest to the surface of a body, in least squares.

    The scan must lie near the body, within some twenty degrees and a few tenths of its size; otherwise bring
    it there by hand. A symmetric body has several places that fit. If the specimen is deformed and the body
    at rest, the motion absorbs a part of the deformation: use `ScanTest(rigid_motion=True)`, which takes the
    motion as an unknown.

    Args:
        points: of the scan [m], `(K, 3)`; those that are NaN do not count.
        mesh: the body.
        positions: of its vertices `(N, 3)` [m]; at rest by default.
        outlier_distance: the distance beyond which a point counts little [m], see `ScanTest`.
        max_steps: the largest number of steps.

    Raises:
        ObservationError: for points of another shape, in another unit, or far from the body.
        ConvergenceError: if the points still move after so many steps.
    """
    body = checked_instance("mesh", mesh, Mesh, example="read_mesh(...)")
    at = body.vertices if positions is None else checked_numbers("positions", positions)
    if at.shape != body.vertices.shape or not bool(at.isfinite().all() and at.std(0).all()):
        raise ValueError(
            f"positions must be those of the {len(body.vertices)} vertices of the mesh, "
            f"{tuple(body.vertices.shape)} numbers of a body with a volume, got {described(positions)}."
        )
    reach = checked_reach("outlier_distance", outlier_distance)
    most = checked_integer("max_steps", max_steps, least=1)
    scan = checked_scan(points, body, at, name="points")
    rotation, translation, step = rigid_alignment(
        scan.points, at, body.boundary, present=~scan.missing, outlier_distance=reach, max_steps=most
    )
    if not step < _SETTLED:
        raise ConvergenceError(
            f"points still move by {float(step):.2g} of their extent after {most} steps: bring the scan "
            "nearer to the body by hand, to some twenty degrees, or allow more (max_steps)."
        )
    moved = scan.points.double() @ rotation.T + translation
    return AlignedScan(moved.masked_fill(scan.missing[:, None], torch.nan), rotation, translation)
