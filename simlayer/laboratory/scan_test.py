"""A scan of a deformed specimen: points on its surface, without correspondences to its vertices."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.identification.closest_points import signed_distances
from simlayer.identification.influence import Influence
from simlayer.identification.outliers import damp_outliers, outlier_bends, outlier_scale
from simlayer.identification.surface_distances import SurfaceDistances, surface_distances
from simlayer.laboratory.align_scan import align_scan
from simlayer.laboratory.scan_placement import placed_scan
from simlayer.laboratory.scan_points import checked_reach, checked_scan
from simlayer.laboratory.specimen_test import SpecimenTest
from simlayer.quantities.arguments import checked_flag
from simlayer.quantities.objects import checked_instance
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State
from simlayer.steps.base import Step


class ScanTest(SpecimenTest):
    """A test of a specimen in equilibrium by the distances of K scanned points from its surface.

        test = ScanTest(step, read_scan("bent.ply", scale=1e-3), noise=2e-4, outlier_distance=1e-3)
        print(identify_tests(test, ["youngs_modulus"]))

    Each point is compared with the closest point of the simulated surface, which changes as the surface
    moves. A scan may lack a part of the surface, and be denser in some places. Curved surfaces are
    approximated by triangles through all vertices, so the mesh should be fine enough for the noise. Standard
    errors follow from the noise of the points; outliers, whose influence is bounded, hardly change them.

    Args:
        step: the specimen with its loads, an `Equilibrium`.
        points: of the surface of the deformed specimen, in the frame of the mesh [m], `(K, 3)`; those that
            are NaN do not count.
        outlier_distance: the distance c beyond which a point counts little [m], about four times the noise: a
            residual r counts as r / √(1 + r²/c²) (Geman and McClure 1987), whose square never exceeds c².
            While most points are further away, c is larger: 2.8 standard deviations of the nearer four
            fifths. If it still is at the end of a fit, standard errors are too large. None: all points count
            alike, so that a distant one counts much.
        surface_reach: if given, distances from the surface to the points count, too, up to this length [m]:
            those of the centroids of triangles from the closest points, the less the further these are, see
            `surface_distances`. This keeps the simulated surface from extending to where nothing was scanned.
            Take several times the spacing of the points.
        rigid_motion: whether a rigid motion of the whole scan is unknown, too: at all values of the unknowns,
            the scan is moved to where its distances are smallest. It must lie as near as for `align_scan`.
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
        surface_reach: float | None = None,
        rigid_motion: bool = False,
        noise: float | None = None,
        name: str = "scan",
    ) -> None:
        self.outlier_distance = checked_reach("outlier_distance", outlier_distance)
        self.surface_reach = checked_reach("surface_reach", surface_reach)
        self.rigid_motion = checked_flag("rigid_motion", rigid_motion)
        mesh = checked_instance("step", step, Step, example="Equilibrium(...)").elements.mesh
        scan = checked_scan(points, mesh, mesh.vertices, name=name)
        observed = torch.zeros(len(scan.points)).masked_fill(scan.missing, torch.nan)
        if self.surface_reach is not None:
            observed = torch.cat([observed, torch.zeros(len(mesh.boundary))])
        super().__init__(step, observed, noise=noise, name=name, unit="m")
        self._size, self.rollout = scan.distance, RolloutModule(step, 1)
        self.present = (~scan.missing).to(step.free.device)
        self.points = self.given = scan.points.to(step.free)
        if self.rigid_motion:
            near = align_scan(points, mesh, outlier_distance=self.outlier_distance)
            self.points = torch.where(scan.missing[:, None], scan.points, near.points).to(step.free)

    def frames(self) -> State:
        return self.rollout.trajectory(State.at_rest(self.step.elements.mesh.vertices))

    def simulated(self) -> Float[Tensor, "n"]:
        """Return how far the surface lies outside of each point [m], negative inside.

        With a `surface_reach`, then how far each triangle of it lies outside of the closest point.
        """
        return self.distances(self._end())

    def residuals(self) -> Float[Tensor, "n"]:
        found = super().residuals()
        return found if self.outlier_distance is None else damp_outliers(found, self._scale(found))

    def influence(self) -> Influence | None:
        if self.outlier_distance is None and self.surface_reach is None:
            return None
        end, found = self._end(), super().residuals()
        bends = torch.zeros_like(found)
        if self.outlier_distance is not None:
            bends = outlier_bends(found, self._scale(found))
        sources = torch.arange(len(self.points))
        if self.surface_reach is not None:  # a triangle has the noise of the point that is closest
            closest = self._reverse(self.placed(end), end).closest.cpu()
            sources = torch.cat([sources, sources[self.present.cpu()][closest]])
        return Influence(bends.double().cpu(), sources)

    @property
    def numbers(self) -> int:
        """How many points were scanned."""
        return int(self.present.sum())

    @property
    def size(self) -> float:
        """The median distance of the points from the specimen at rest [m]."""
        return self._size

    def placed(self, positions: Float[Tensor, "N 3"]) -> Float[Tensor, "K 3"]:
        """Return the points [m], moved onto a body with these positions if their rigid motion is unknown."""
        points, mesh = self.points.to(positions), self.step.elements.mesh
        if not self.rigid_motion:
            return points
        return placed_scan(
            points, positions, mesh.boundary, present=self.present, outlier_distance=self.outlier_distance
        )

    def distances(self, positions: Float[Tensor, "N 3"]) -> Float[Tensor, "n"]:
        """Return the distances of `simulated` [m] for a body with these positions of its vertices."""
        points = self.placed(positions)
        found = -signed_distances(points, positions, self.step.elements.mesh.boundary)
        if self.surface_reach is None:
            return found
        return torch.cat([found, self._reverse(points, positions).distances])

    def _reverse(self, points: Tensor, positions: Tensor) -> SurfaceDistances:
        assert self.surface_reach is not None
        triangles = self.step.elements.mesh.boundary
        return surface_distances(positions, triangles, points[self.present], self.surface_reach)

    def _end(self) -> Float[Tensor, "N 3"]:
        return self.rollout(State.at_rest(self.step.elements.mesh.vertices)).positions

    def _scale(self, found: Float[Tensor, "n"]) -> Float[Tensor, ""]:
        """Return the distance c beyond which residuals count little, by those of the points alone."""
        assert self.outlier_distance is not None
        return outlier_scale(found[: len(self.points)], self.present, self.outlier_distance)
