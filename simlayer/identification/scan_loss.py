"""The loss of a fit to scans of a moving body, without correspondences."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simlayer.errors import ObservationError
from simlayer.identification.closest_points import signed_distances
from simlayer.identification.losses import LeastSquaresLoss, checked_frames, selected_frames
from simlayer.identification.outliers import damp_outliers, outlier_bends, outlier_scale
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.arrays import checked_floats, described
from simlayer.quantities.checked_module import Option
from simlayer.quantities.objects import checked_instance


class ScanLoss(LeastSquaresLoss):
    """Mean square distance of scanned points from the surface of a body, in units of `scale`.

    The sensor is `Vertices()`, and the observations are the points of a scan at every time, whose numbers may
    differ: scans with fewer points are filled up with NaN.

        observed = ObservedRollout(rollout, Vertices(), times)
        fit = ParameterIdentification(observed, trainable=["youngs_modulus"], loss=ScanLoss(mesh))

    Args:
        mesh: the body.
        scale: the unit of length [m].
        outlier_distance: the distance beyond which a point counts little [m], see `ScanTest`.
        frames: the frames that count: "all", "last", or a list of indices.
    """

    triangles: Tensor
    scale = Option(checked_number, above=0.0, unit="m")
    frames = Option(checked_frames)

    def __init__(
        self,
        mesh: Mesh,
        scale: float = 1.0,
        *,
        outlier_distance: float | None = None,
        frames: str | Sequence[int] = "all",
    ) -> None:
        super().__init__()
        checked_instance("mesh", mesh, Mesh)
        self.scale, self.frames, self.num_vertices = scale, frames, len(mesh.vertices)
        self.outlier_distance = (
            None
            if outlier_distance is None
            else checked_number("outlier_distance", outlier_distance, above=0.0, unit="m")
        )
        self.register_buffer("triangles", mesh.boundary, persistent=False)

    def residuals(
        self, simulated: Float[Tensor, "*batch T N 3"], observed: Float[Tensor, "*batch T K 3"]
    ) -> Float[Tensor, "*batch F K 3"]:
        """Return how far the surface lies outside of each point, as the first of its three numbers."""
        distances, present = self._distances(simulated, observed)
        if self.outlier_distance is not None:
            scale = outlier_scale(distances, present, self.outlier_distance)
            distances = damp_outliers(distances, scale)
        return torch.nn.functional.pad(distances[..., None] / self.scale, (0, 2))

    def bends(
        self, simulated: Float[Tensor, "*batch T N 3"], observed: Float[Tensor, "*batch T K 3"]
    ) -> Float[Tensor, "*batch F K 3"] | None:
        if self.outlier_distance is None:
            return None
        distances, present = self._distances(simulated, observed)
        found = outlier_bends(distances, outlier_scale(distances, present, self.outlier_distance))
        return torch.nn.functional.pad(found[..., None], (0, 2))

    def _distances(self, simulated: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Return how far the surface lies outside of each point [m], or zero, and which points there are."""
        checked_floats("simulated", simulated)
        checked_floats("observed", observed)
        if simulated.shape[-2:] != (self.num_vertices, 3) or simulated.shape[:-2] != observed.shape[:-2]:
            raise ObservationError(
                f"simulated must be all {self.num_vertices} vertices at the times of the scans, as of "
                f"Vertices(), got {described(simulated)} and scans {described(observed)}."
            )
        positions, present = selected_frames(simulated, self.frames), self.present(observed)[..., 0]
        points = selected_frames(observed, self.frames)
        points = torch.where(present[..., None], points, positions[..., :1, :].detach())
        return torch.where(present, -signed_distances(points, positions, self.triangles), 0.0), present

    def present(self, observed: Float[Tensor, "*batch T K 3"]) -> Bool[Tensor, "*batch F K 3"]:
        found = ~selected_frames(observed, self.frames).isnan().any(-1)
        return torch.nn.functional.pad(found[..., None], (0, 2))

    def extra_repr(self) -> str:
        return f"scale = {self.scale:.3g} m, frames = {self.frames!r}"
