"""A scan of a deformed specimen: points on its surface, without a word on which ones."""

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
    """The distances of scanned points from the surface of a specimen in one state of rest.

        test = ScanTest(step, read_scan("bent.ply", scale=1e-3), noise=2e-4, outlier_distance=1e-3)
        print(identify_tests(test, ["youngs_modulus"]))

    Each point belongs to the closest point of the simulated surface, which is another one as the surface
    moves; a scan without a part of the surface, or with more points here than there, needs nothing for it.
    Curved surfaces are those of triangles through all vertices, so the mesh should be as fine as the noise.
    Standard errors are those of the noise of the points, which outliers, of bounded influence, hardly change.

    Args:
        step: the specimen with its loads, an `Equilibrium`.
        points: of the surface of the deformed specimen, in the frame of the mesh [m], `(K, 3)`; those that
            are NaN do not count.
        outlier_distance: from where on a point tells little of the surface [m], about four times the noise:
            a residual r counts as r / √(1 + r²/c²) (Geman and McClure 1987), whose square never exceeds c².
            While most points are further away, c grows with the distances of the nearer four fifths, to 2.8
            of their standard deviations; where it still does so at the end, standard errors are too large.
            None: all points count alike, and a far one much.
        surface_reach: where given, the distances from the surface to the points count, too, as far as this
            [m]: that of the middle of each triangle from the closest point, less the further that is, see
            `surface_distances`. So a simulated surface must not reach to where nothing was scanned. Several
            times the distance between points.
        rigid_motion: whether a rigid motion of the whole scan is unknown, too: one that makes the distances
            least is taken out of them, at every value of the unknowns. The scan must lie as near as for
            `align_scan`.
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
        """Return what `simulated` does of a body with these positions."""
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
        """Return from where on a distance tells little: by those of the points, of which most were seen."""
        assert self.outlier_distance is not None
        return outlier_scale(found[: len(self.points)], self.present, self.outlier_distance)
