"""Checks that the points of a scan can be those of a body."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simlayer.errors import ObservationError
from simlayer.identification.closest_points import signed_distances
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.arrays import checked_numbers, described

# A scan that is this many times as large as the body is in another unit.
_OTHER_UNIT = 20.0


class ScanPoints(NamedTuple):
    """The K points of a scan, missing ones among them.

    Attributes:
        points: their positions [m]; a missing one has that of the mean of the vertices.
        missing: which are NaN.
        distance: the median distance of the others from the body [m].
    """

    points: Float[Tensor, "K 3"]
    missing: Bool[Tensor, "K"]
    distance: float


def checked_scan(points: Any, mesh: Mesh, positions: Float[Tensor, "N 3"], *, name: str) -> ScanPoints:
    """Return the points of a scan after checking their shape, unit and place.

    Args:
        points: of the surface of a body [m], `(K, 3)`; NaN for those that are missing.
        mesh: the body.
        positions: of its vertices [m].
        name: of the scan, for messages.

    Raises:
        ObservationError: for points of another shape, in another unit, or far from the body.
    """
    places = checked_numbers("points", points)
    if places.ndim != 2 or places.shape[-1] != 3:
        raise ObservationError(f"points must be of shape (K, 3), got {described(points)}.")
    if bool(places.isinf().any()):
        raise ObservationError(f"{name}: points must not be infinite; NaN stands for none.")
    missing = places.isnan().any(1)
    if bool(missing.all()):
        raise ObservationError(f"{name}: nothing was measured: all {len(places)} points are NaN.")
    body = positions.double().cpu()
    _check_unit(places[~missing], body, name)
    distances = signed_distances(places[~missing].double(), body, mesh.boundary.cpu())
    distance, extent = float(distances.abs().median()), float((body.amax(0) - body.amin(0)).max())
    if not distance < extent:
        raise ObservationError(
            f"{name}: half of the points are more than {distance:.3g} m away from the specimen at "
            f"rest, whose largest extent is {extent:.3g} m; move the scan into the frame of the mesh, or "
            "check its unit."
        )
    return ScanPoints(torch.where(missing[:, None], body.mean(0).to(places), places), missing, distance)


def checked_reach(name: str, value: Any) -> float | None:
    """Return a positive length [m] or None; raises TypeError or ValueError with `name` for all else."""
    return None if value is None else checked_number(name, value, above=0.0, unit="m")


def _check_unit(points: Float[Tensor, "K 3"], positions: Float[Tensor, "N 3"], name: str) -> None:
    # Quantiles, because a single outlier may be anywhere; of some points, since there may be millions.
    some = points[:: len(points) // 100_000 + 1].double()
    low, high = some.quantile(torch.tensor([0.1, 0.9]).double(), dim=0)
    scan, body = float((high - low).max()), float((positions.amax(0) - positions.amin(0)).max())
    if scan > _OTHER_UNIT * body:
        raise ObservationError(
            f"{name}: points extend over {scan:.3g} m, {scan / body:.3g} times the {body:.3g} m of the "
            "specimen: are they in millimetres? Give that where they are read, by unit=mm or scale=1e-3, or "
            "take 1e-3 * points."
        )
