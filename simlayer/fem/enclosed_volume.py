"""The volume inside of a closed surface, with its second derivatives."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from simlayer.elements.types import ELEMENT_TYPES
from simlayer.errors import listed
from simlayer.mesh.geometry import row_keys
from simlayer.mesh.mesh import Mesh, MeshError


class EnclosedVolume(nn.Module):
    """The volume of a cavity that faces of a body enclose, ∮ x·n/3 dA with n out of the cavity.

    Exact for the shape of linear and quadratic faces: their rules integrate the product of a position and two
    tangents. It does not depend on the origin, as that of an open surface would.

    Args:
        mesh: the body.
        facets: faces of its surface, outward.

    Raises:
        MeshError: if the faces do not close.
    """

    facets: Tensor
    functions: Tensor
    slopes: Tensor
    weights: Tensor

    def __init__(self, mesh: Mesh, facets: Int[Tensor, "S K"]) -> None:
        super().__init__()
        element = ELEMENT_TYPES[mesh.element]
        _check_closed(mesh, facets[:, : element.face_corners])
        points, weights = element.face.rule.tensors()
        buffers = {
            "functions": element.face.shape.functions(points),
            "slopes": element.face.shape.gradients(points).movedim(-1, 0),
            # The body's normal points into the cavity.
            "weights": -weights / 3,
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer.to(mesh.vertices.dtype), persistent=False)
        self.register_buffer("facets", facets, persistent=False)

    def forward(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        """Return the volume [m³] where the vertices are at these positions."""
        x, u, v = self._at_quadrature_points(positions)
        return (self.weights * (x * torch.linalg.cross(u, v)).sum(-1)).sum((-1, -2))

    def hessian_blocks(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch S D D"]:
        """Return the part of each face in the second derivative [m], D = 3 K, by node, then component."""
        x, u, v = self._at_quadrature_points(positions)
        N, (A, B) = self.functions, self.slopes
        # x·(u×v) along changes of u and v is -du·[x] dv, and so on by turns.
        half = self._product(N, B, u) - self._product(N, A, v) - self._product(A, B, x)
        whole = half.flatten(-2).flatten(-3, -2)
        return whole + whole.mT

    def _product(
        self, left: Float[Tensor, "Q K"], right: Float[Tensor, "Q K"], axes: Float[Tensor, "*batch S Q 3"]
    ) -> Float[Tensor, "*batch S K 3 K 3"]:
        """Return the sum over quadrature points of outer products times the matrices of a cross product."""
        vectors = torch.einsum("q,qa,qb,...sqi->...sabi", self.weights, left, right, axes)
        x, y, z = vectors.unbind(-1)
        zero = torch.zeros_like(x)
        rows = [torch.stack(row, -1) for row in ((zero, -z, y), (z, zero, -x), (-y, x, zero))]
        return torch.stack(rows, -2).transpose(-3, -2)

    def _at_quadrature_points(
        self, positions: Float[Tensor, "*batch N 3"]
    ) -> tuple[Float[Tensor, "*batch S Q 3"], ...]:
        """Positions and two tangents; the origin is a vertex of the surface, so that little is rounded."""
        nodes = positions.index_select(-2, self.facets.flatten())
        nodes = (nodes - nodes[..., :1, :].detach()).unflatten(-2, self.facets.shape)
        return tuple(
            torch.einsum("qk,...ski->...sqi", each, nodes) for each in (self.functions, *self.slopes)
        )


def _check_closed(mesh: Mesh, corners: Int[Tensor, "S K"]) -> None:
    """Raise MeshError unless every edge of the faces is passed as often one way as the other."""
    edges = torch.stack([corners, corners.roll(-1, 1)], -1).flatten(0, 1)
    _, inverse = row_keys(edges, len(mesh.vertices)).unique(return_inverse=True)
    turns = torch.where(edges[:, 0] < edges[:, 1], 1, -1)
    balance = torch.zeros(int(inverse.max()) + 1, dtype=torch.int64, device=turns.device)
    open_edges = balance.index_add(0, inverse, turns)[inverse] != 0
    if bool(open_edges.any()):
        rim = edges[open_edges].unique()
        low, high = ([float(f"{x:.4g}") for x in end] for end in mesh.vertices[rim].aminmax(dim=0))
        raise MeshError(
            f"{mesh.source}: a surface that encloses a volume must be closed, got {int(open_edges.sum())} "
            f"edges at its rim, from {low} to {high} m, with vertices {listed(rim.tolist())}. Choose all "
            "vertices of the inner surface, or mesh a lid on the opening."
        )
