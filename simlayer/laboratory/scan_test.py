"""A scan of a deformed specimen: points on its surface, without a word on which ones."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.errors import ObservationError
from simlayer.identification.closest_points import signed_distances
from simlayer.identification.outliers import damp_outliers
from simlayer.laboratory.specimen_test import SpecimenTest
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.arrays import checked_numbers, described
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State
from simlayer.steps.base import Step

# A scan that is this many times as large as the body is in another unit.
_OTHER_UNIT = 20.0


class ScanTest(SpecimenTest):
    """The distances of scanned points from the surface of a specimen in one state of rest.

        test = ScanTest(step, read_scan("bent.ply", scale=1e-3), noise=2e-4, outlier_distance=1e-3)
        print(identify_tests(test, ["youngs_modulus"]))

    Each point belongs to the closest point of the simulated surface, which is another one as the surface
    moves; a scan without a part of the surface, or with more points here than there, needs nothing for it.
    Curved surfaces are those of triangles through all vertices, so the mesh should be as fine as the noise.
    Standard errors are on the safe side where there are outliers, whose residuals count as noise.

    Args:
        step: the specimen with its loads, an `Equilibrium`.
        points: of the surface of the deformed specimen, in the frame of the mesh [m], `(K, 3)`; those that
            are NaN do not count.
        outlier_distance: from where on a point tells little of the surface [m], about four times the noise:
            a residual r counts as r / √(1 + r²/c²) (Geman and McClure 1987), whose square never exceeds c².
            While most points are further away, c grows with the distances of the nearer four fifths. None:
            all points count alike, and a far one much.
        noise: the standard deviation of the distances [m].
        name: of the test.

    Raises:
        ObservationError: for points of another shape, in another unit, or far from the specimen.
    """

    def __init__(
        self,
        step: Step,
        points: Any,
        *,
        outlier_distance: float | None = None,
        noise: float | None = None,
        name: str = "scan",
    ) -> None:
        places = checked_numbers("points", points)
        if places.ndim != 2 or places.shape[-1] != 3:
            raise ObservationError(f"points must be of shape (K, 3), got {described(points)}.")
        if bool(places.isinf().any()):
            raise ObservationError(f"{name}: points must not be infinite; NaN stands for none.")
        missing = places.isnan().any(1)
        observed = torch.zeros(len(places)).masked_fill(missing, torch.nan)
        super().__init__(step, observed, noise=noise, name=name, unit="m")
        self.outlier_distance = (
            None
            if outlier_distance is None
            else checked_number("outlier_distance", outlier_distance, above=0.0, unit="m")
        )
        mesh = step.elements.mesh
        self.points = torch.where(missing[:, None], mesh.bounds.mean(0).to(places), places).to(step.free)
        _check_unit(places[~missing], mesh)
        self.rollout = RolloutModule(step, 1)
        at_rest = self._outside(mesh.vertices)[~missing].abs().median()
        self._check_place(float(at_rest), mesh)
        self._size = float(at_rest)

    def frames(self) -> State:
        return self.rollout.trajectory(State.at_rest(self.step.elements.mesh.vertices))

    def simulated(self) -> Float[Tensor, "K"]:
        """Return how far the surface lies outside of each point [m], negative inside."""
        return self._outside(self.rollout(State.at_rest(self.step.elements.mesh.vertices)).positions)

    def residuals(self) -> Float[Tensor, "K"]:
        found = super().residuals()
        if self.outlier_distance is None:
            return found
        return damp_outliers(found, ~self.observed.isnan(), self.outlier_distance)

    @property
    def size(self) -> float:
        """The median distance of the points from the specimen at rest [m]."""
        return self._size

    def _outside(self, positions: Float[Tensor, "N 3"]) -> Float[Tensor, "K"]:
        return -signed_distances(self.points.to(positions), positions, self.step.elements.mesh.boundary)

    def _check_place(self, distance: float, mesh: Mesh) -> None:
        extent = float((mesh.bounds[1] - mesh.bounds[0]).max())
        if not distance < extent:
            raise ObservationError(
                f"{self.name}: half of the points are more than {distance:.3g} m away from the specimen at "
                f"rest, whose largest extent is {extent:.3g} m; move the scan into the frame of the mesh."
            )


def _check_unit(points: Float[Tensor, "K 3"], mesh: Mesh) -> None:
    # Quantiles, because a single outlier may be anywhere.
    low, high = points.double().quantile(torch.tensor([0.1, 0.9]).double(), dim=0)
    scan, body = float((high - low).max()), float((mesh.bounds[1] - mesh.bounds[0]).max())
    if scan > _OTHER_UNIT * body:
        raise ObservationError(
            f"points extend over {scan:.3g} m, the specimen over {body:.3g} m: are they in millimetres? "
            "read_scan(path, scale=1e-3), or 1e-3 * points, makes metres of them."
        )
