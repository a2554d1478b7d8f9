"""What is seen of a body: its vertices, or markers fixed to it."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from simlayer.errors import ObservationError
from simlayer.identification.point_location import attached, cells_within, mean_gradients, neighbours
from simlayer.linalg.matrix3 import Matrix3
from simlayer.linalg.polar import rotation
from simlayer.mesh.mesh import Mesh


class Vertices(nn.Module):
    """The positions of some vertices, `(*batch, N, 3)` -> `(*batch, K, 3)`.

    Args:
        indices: of the vertices; all by default.
    """

    indices: Tensor | None

    def __init__(self, indices: Int[Tensor, "K"] | None = None) -> None:
        super().__init__()
        self.register_buffer("indices", indices, persistent=False)

    def forward(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch K 3"]:
        """The seen points [m]."""
        return positions if self.indices is None else positions.index_select(-2, self.indices)


class Markers(nn.Module):
    """Points fixed to a body, `(*batch, N, 3)` -> `(*batch, K, 3)`.

    A point moves with the displacement field of the cell that contains it at rest: with the shape functions
    of the element. A marker on a rigid stand-off o is seen at
    base + R o, with R the rotation of the mean deformation gradient, by volume, of the cells around its base.

    Args:
        mesh: the body in its rest shape.
        points: of the body at rest [m]: the markers, or the bases of their stand-offs. One just outside, by
            a hundredth of the body's largest extent, moves with the nearest cell.
        standoffs: from each base to the marker, on the body at rest [m].
        radius: of the ball around a base, whose cells (by their centroids) turn the stand-off [m]; by default
            the cell of the base, and those that share a vertex with it.

    Raises:
        ObservationError: points outside the body, a radius that holds no cell, stand-offs not as many as
            points, or numbers that are not finite.
    """

    corners: Tensor
    weights: Tensor
    standoffs: Tensor | None
    around: Tensor
    gradients: Tensor

    def __init__(
        self,
        mesh: Mesh,
        points: Float[Tensor, "K 3"],
        *,
        standoffs: Float[Tensor, "_ 3"] | None = None,
        radius: float | None = None,
    ) -> None:
        super().__init__()
        _check(points, standoffs)
        dtype = mesh.vertices.dtype
        owners, weights = attached(mesh, points)
        self.register_buffer("corners", mesh.cells[owners], persistent=False)
        self.register_buffer("weights", weights.to(dtype), persistent=False)
        self.register_buffer("standoffs", standoffs, persistent=False)
        if standoffs is not None:
            self.standoffs = standoffs.to(dtype)
            near = neighbours(mesh, owners) if radius is None else cells_within(mesh, points, radius)
            around, gradients = mean_gradients(mesh, near)
            self.register_buffer("around", around, persistent=False)
            self.register_buffer("gradients", gradients.to(dtype), persistent=False)

    def forward(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch K 3"]:
        """The seen points [m]."""
        corners = positions[..., self.corners, :]
        # Differences to a corner, because float32 sums of absolute positions lose what differs between them.
        origin = corners[..., :1, :]
        bases = origin[..., 0, :] + (self.weights[..., None] * (corners - origin)).sum(-2)
        if self.standoffs is None:
            return bases
        arms = positions[..., self.around, :] - bases[..., None, :]
        F = torch.einsum("...kpi,kpj->...kij", arms, self.gradients)
        R = rotation(Matrix3(*F.flatten(-2).unbind(-1)))
        turned = [(torch.stack(R.row(i), -1) * self.standoffs).sum(-1) for i in range(3)]
        return bases + torch.stack(turned, -1)


def _check(points: Tensor, standoffs: Tensor | None) -> None:
    for name, value in (("points", points), ("standoffs", standoffs)):
        if value is not None and (value.shape != points.shape or not value.isfinite().all()):
            raise ObservationError(
                f"{name} must be finite, one of 3 coordinates for each of the {len(points)} markers, "
                f"got shape {tuple(value.shape)}."
            )
