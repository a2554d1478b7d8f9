"""Paths of straight segments through points of a body and points in space."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.fem.point_location import locate_points
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arrays import checked_integers, checked_numbers, described
from simlayer.quantities.objects import checked_instance


class Path(nn.Module):
    """Straight segments from point to point.

    Args:
        mesh: the body in its rest shape.
        points: the points in their order [m], where the body is at rest. Each moves with the cell that
            contains it, by the shape functions of the element.
        anchors: the indices of points that are fixed in space instead.

    Raises:
        ValueError: if there are fewer than two points, two in succession at one place, one outside of the
            body or none on it.
    """

    nodes: Tensor
    differences: Tensor
    offsets: Tensor

    def __init__(
        self, mesh: Mesh, points: Sequence[Sequence[float]] | Tensor, anchors: Sequence[int] | Tensor
    ) -> None:
        super().__init__()
        self.mesh = checked_instance("mesh", mesh, Mesh)
        places, fixed = _checked(points, anchors)
        moving = (~fixed).nonzero().flatten()
        owners, functions = locate_points(mesh, places[moving])
        nodes, columns = mesh.cells[owners].unique(return_inverse=True)
        weights = torch.zeros(len(places), len(nodes), dtype=torch.float64)
        weights[moving] = weights[moving].scatter_add(1, columns.cpu(), functions)
        offsets = places.masked_fill(~fixed[:, None], 0.0)
        self.register_buffer("nodes", nodes, persistent=False)
        for name, of_points in (("differences", weights), ("offsets", offsets)):
            self.register_buffer(name, of_points.diff(dim=0).to(mesh.vertices.dtype), persistent=False)

    def segments(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch S 3"]:
        """Return the vectors from each point to the next [m]."""
        return self.differences @ positions.index_select(-2, self.nodes) + self.offsets

    def length(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        """Return the sum of the lengths of the segments [m]."""
        return self.segments(positions).norm(dim=-1).sum(-1)

    def derivatives(
        self, positions: Float[Tensor, "*batch N 3"]
    ) -> tuple[Float[Tensor, "*batch D"], Float[Tensor, "*batch D D"]]:
        """Return the first two derivatives of the length by the nodes' positions, by node, then component."""
        segments, D = self.segments(positions), self.differences
        lengths = segments.norm(dim=-1, keepdim=True)
        u = segments / lengths
        turning = (torch.eye(3).to(u) - u[..., :, None] * u[..., None, :]) / lengths[..., None]
        second = torch.einsum("sa,sb,...sij->...aibj", D, D, turning)
        return torch.einsum("sa,...si->...ai", D, u).flatten(-2), second.flatten(-2).flatten(-3, -2)


def _checked(
    points: Sequence[Sequence[float]] | Tensor, anchors: Sequence[int] | Tensor
) -> tuple[Float[Tensor, "P 3"], Tensor]:
    """Return the points, and which of them are fixed in space."""
    places = checked_numbers("points", points).cpu()
    if places.ndim != 2 or places.shape[-1] != 3 or len(places) < 2 or not bool(places.isfinite().all()):
        raise ValueError(f"points must be at least two finite points (P, 3), got {described(points)}.")
    if bool((same := (places.diff(dim=0) == 0).all(-1)).any()):
        place = places[int(same.nonzero()[0])].tolist()
        raise ValueError(f"points must differ from the ones before, got {place} twice in succession.")
    fixed = torch.zeros(len(places), dtype=torch.bool)
    none = isinstance(anchors, Sequence) and not isinstance(anchors, str) and not anchors
    indices = checked_integers("anchors", torch.zeros(0, dtype=torch.int64) if none else anchors).cpu()
    if indices.ndim != 1 or bool(((indices < 0) | (indices >= len(places))).any()):
        raise ValueError(f"anchors must be indices of the {len(places)} points, got {described(anchors)}.")
    fixed[indices] = True
    if bool(fixed.all()):
        raise ValueError(f"anchors must leave at least one of the {len(places)} points on the body, got all.")
    return places, fixed
