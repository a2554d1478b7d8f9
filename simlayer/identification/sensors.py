"""Sensors: what is observed of a body, its vertices or markers fixed to it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from simlayer.errors import ObservationError
from simlayer.fem.point_location import cells_touching, cells_within, locate_points, mean_gradients
from simlayer.linalg.matrix3 import Matrix3
from simlayer.linalg.polar import polar_rotation
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.arrays import checked_floats, checked_integers, checked_numbers, described
from simlayer.quantities.objects import checked_function, checked_instance

Observer = Callable[[Float[Tensor, "*batch N 3"]], Float[Tensor, "*batch K 3"]]


class FunctionSensors(nn.Module):
    """Observes what a function of positions returns, `(*batch, N, 3)` -> `(*batch, K, 3)`."""

    def __init__(self, function: Observer) -> None:
        super().__init__()
        self.function = checked_function("observe", function, arguments=1)

    def forward(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch K 3"]:
        """Return the observed points [m]."""
        try:
            return self.function(positions)
        except Exception as error:  # whatever a user's own may raise
            raise ObservationError(
                f"observe must map positions {tuple(positions.shape)} to points (*batch, K, 3), got "
                f"{described(self.function)}, which raised {type(error).__name__}: {error}"
            ) from error


class Vertices(nn.Module):
    """Observes vertices, `(*batch, N, 3)` -> `(*batch, K, 3)`.

    Args:
        indices: indices of the vertices; all by default.

    Raises:
        ObservationError: indices below 0, or not below the number of vertices of the positions.
    """

    indices: Tensor | None

    def __init__(self, indices: Int[Tensor, "K"] | None = None) -> None:
        super().__init__()
        if indices is not None:
            indices = checked_integers("indices", indices)
            if indices.ndim != 1 or not len(indices) or bool((indices < 0).any()):
                raise ObservationError(
                    f"indices must be at least one index, each from 0, got {described(indices)}."
                )
        self.largest = -1 if indices is None else int(indices.max())
        self.register_buffer("indices", indices, persistent=False)

    def forward(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch K 3"]:
        """Return the observed points [m]."""
        if self.largest >= positions.shape[-2]:
            raise ObservationError(
                f"indices of observed vertices must be below the {positions.shape[-2]} vertices of the "
                f"positions, got {self.largest}."
            )
        return positions if self.indices is None else positions.index_select(-2, self.indices)


class Markers(nn.Module):
    """Observes points fixed to a body, `(*batch, N, 3)` -> `(*batch, K, 3)`.

    A point moves with the displacement field of the cell that contains it at rest, by the shape functions of
    the element. A marker on a rigid stand-off o is observed at base + R o, where R is the rotation of the
    deformation gradient, averaged over the volume of the cells around its base.

    Args:
        mesh: the body in its rest shape.
        points: the markers, or the bases of their stand-offs, on the body at rest [m]. A point just outside,
            by up to a hundredth of the body's largest extent, moves with the nearest cell.
        standoffs: from each base to its marker, on the body at rest [m].
        radius: radius of the ball around a base whose cells (by their centroids) turn the stand-off [m]; by
            default the cell of the base, and the cells that share a vertex with it.

    Raises:
        ObservationError: points outside the body, a radius that contains no cell, a number of stand-offs that
            differs from that of points, or numbers that are not finite.
    """

    nodes: Tensor
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
        checked_instance("mesh", mesh, Mesh)
        points = checked_numbers("points", points)
        standoffs = None if standoffs is None else checked_numbers("standoffs", standoffs)
        radius = None if radius is None else checked_number("radius", radius, above=0.0, unit="m")
        _check(points, standoffs)
        dtype, self.num_vertices = mesh.vertices.dtype, len(mesh.vertices)
        try:
            owners, weights = locate_points(mesh, points)
        except ValueError as error:
            raise ObservationError(
                f"{error} For a marker on a rigid stand-off give the point at its foot, and the rest as "
                "standoffs=."
            ) from None
        self.register_buffer("nodes", mesh.cells[owners], persistent=False)
        self.register_buffer("weights", weights.to(dtype), persistent=False)
        self.register_buffer("standoffs", standoffs, persistent=False)
        if standoffs is not None:
            self.standoffs = standoffs.to(dtype)
            near = cells_touching(mesh, owners) if radius is None else cells_within(mesh, points, radius)
            around, gradients = mean_gradients(mesh, near)
            self.register_buffer("around", around, persistent=False)
            self.register_buffer("gradients", gradients.to(dtype), persistent=False)

    def forward(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch K 3"]:
        """Return the observed points [m]."""
        if checked_floats("positions", positions).shape[-2:] != (self.num_vertices, 3):
            raise ObservationError(
                f"positions must be of shape (*batch, {self.num_vertices}, 3), got {described(positions)}."
            )
        nodes = positions[..., self.nodes, :]
        # Sums of absolute positions in float32 would lose the differences between them.
        origin = nodes[..., :1, :]
        bases = origin[..., 0, :] + (self.weights[..., None] * (nodes - origin)).sum(-2)
        if self.standoffs is None:
            return bases
        arms = positions[..., self.around, :] - bases[..., None, :]
        F = torch.einsum("...kpi,kpj->...kij", arms, self.gradients)
        R = polar_rotation(Matrix3(*F.flatten(-2).unbind(-1)))
        turned = [(torch.stack(R.row(i), -1) * self.standoffs).sum(-1) for i in range(3)]
        return bases + torch.stack(turned, -1)


def _check(points: Tensor, standoffs: Tensor | None) -> None:
    count = len(points) if points.ndim else 1
    for name, value in (("points", points), ("standoffs", standoffs)):
        if value is None:
            continue
        if value.shape != (count, 3) or not bool(value.isfinite().all()):
            raise ObservationError(
                f"{name} must be finite, 3 coordinates for each of the {count} markers, got shape "
                f"{tuple(value.shape)}."
            )
