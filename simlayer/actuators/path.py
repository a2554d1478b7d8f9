"""Paths of straight segments through points of a body and points in space, and potentials of their length."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from simlayer.actuators.stiffness import row_sums
from simlayer.fem.fields import per_sample
from simlayer.fem.point_location import locate_points
from simlayer.forces.base import Potential
from simlayer.forces.module_energy import ModuleEnergy
from simlayer.linalg.semidefinite import semidefinite_part
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arrays import checked_integers, checked_numbers, described
from simlayer.quantities.objects import checked_instance
from simlayer.state import State

# A generic length to trace at [m].
_EXAMPLE = (1.1,)


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


class LengthPotential(Potential):
    """A potential that is a function of the length of a path; free of friction, one tension all along.

    A subclass supplies `length_energy` and `axial_stiffness`, and calls `trace` when it has its quantities.

    Args:
        mesh: the body in its rest shape.
        points, anchors: see `Path`.
    """

    traced_energy: ModuleEnergy

    def __init__(
        self,
        mesh: Mesh,
        points: Sequence[Sequence[float]] | Float[Tensor, "P 3"],
        anchors: Sequence[int] | Int[Tensor, "_"],
    ) -> None:
        super().__init__()
        self.path = Path(mesh, points, anchors)

    def trace(self) -> None:
        """Trace the derivatives of the energy by the length."""
        self.traced_energy = ModuleEnergy.of_kind(self, self.length_energy, _EXAMPLE, method="length_energy")

    @abstractmethod
    def length_energy(self, length: Tensor) -> Tensor:
        """Return the energy [J] of a path of this length [m], by elementwise operations."""

    @abstractmethod
    def axial_stiffness(self) -> Float[Tensor, "*batch_and_one"]:
        """Return the largest second derivative of the energy by the length [N/m]."""

    def length(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        """Return the length of the path [m]."""
        return self.path.length(positions)

    def pull(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        """Return the tension, the derivative of the energy by the length [N]."""
        (found,) = self.traced_energy.gradient(*self._at(positions))
        return found.expand(1, *positions.shape[:-2])[0]  # where it does not depend on the length

    def energy(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        return self.traced_energy.value(*self._at(positions))[0]

    @property
    def connectivity(self) -> Int[Tensor, "1 C"]:
        return self.path.nodes[None]

    def hessian_blocks(
        self, positions: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*batch 1 D D"]:
        coefficients, lengths = self._at(positions)
        (slope,) = self.traced_energy.hessian_product(coefficients, lengths, [torch.ones_like(lengths[0])])
        blocks = self._blocks(positions, slope.expand(1, *positions.shape[:-2])[0])
        return semidefinite_part(blocks) if projected else blocks

    def vertex_stiffness(self, state: State | None) -> Float[Tensor, "*batch N"]:
        positions = self.path.mesh.vertices.to(self.path.offsets) if state is None else state.positions
        # Where a cable is slack at rest it may be tight soon after.
        blocks = self._blocks(positions, per_sample(self.axial_stiffness()))
        return row_sums(blocks, self.connectivity, positions.shape[-2])

    def _blocks(self, positions: Tensor, slope: Tensor) -> Float[Tensor, "*batch 1 D D"]:
        first, second = self.path.derivatives(positions)
        tension, slope = (x[..., None, None] for x in (self.pull(positions), slope))
        return (tension * second + slope * first[..., :, None] * first[..., None, :])[..., None, :, :]

    def _at(self, positions: Float[Tensor, "*batch N 3"]) -> tuple[list[Tensor], list[Tensor]]:
        """Return what the traced energy takes: its coefficients, and the length of each sample."""
        coefficients = self.traced_energy.coefficients(self, positions.ndim - 2)
        return coefficients, [self.length(positions)[None]]


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
