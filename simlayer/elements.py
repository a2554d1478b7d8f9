"""Finite elements: shape gradients, quadrature and lumped masses of the cells of a mesh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.fields import Matrix3
from simlayer.functional.stencil import Stencil, over_batch
from simlayer.mesh import Mesh
from simlayer.topology import Topology


@dataclass(frozen=True)
class ElementType:
    """A reference element: its quadrature rule, and the gradients of its shape functions there."""

    num_corners: int
    points: tuple[tuple[float, float, float], ...]
    weights: tuple[float, ...]
    shape_gradients: Callable[[Tensor], Tensor]  # points (Q, 3) -> (Q, C, 3)


def _tet4_gradients(points: Float[Tensor, "Q 3"]) -> Float[Tensor, "Q 4 3"]:
    gradients = torch.cat([-torch.ones(1, 3), torch.eye(3)]).to(points)
    return gradients.expand(len(points), 4, 3)


ELEMENT_TYPES = {
    "tet4": ElementType(4, ((0.25, 0.25, 0.25),), (1 / 6,), _tet4_gradients),
}


class Elements(nn.Module):
    """The cells of a mesh as finite elements.

    Fields over cells are `(M, *batch)`, and `(Q, M, *batch)` for elements with several quadrature points:
    cells first, so that a compiled step is one loop over cells and their samples.

    Args:
        mesh: the body in its rest shape.
        deterministic: how corner values are summed to vertices, see `Topology`.
    """

    gradients: Tensor
    weights: Tensor

    def __init__(self, mesh: Mesh, *, deterministic: bool | None = None) -> None:
        super().__init__()
        element = ELEMENT_TYPES[mesh.element]
        self.topology = Topology(mesh.cells, len(mesh.vertices), deterministic=deterministic)
        self.num_cells, self.num_corners = mesh.cells.shape
        gradients, weights = _at_quadrature_points(element, mesh)
        # Corner 0 is the origin of the differences below and needs no gradient of its own.
        self.register_buffer("gradients", gradients[1:].contiguous(), persistent=False)
        self.register_buffer("weights", weights, persistent=False)

    @property
    def volumes(self) -> Float[Tensor, "M"]:
        """Rest volumes [m³]."""
        return self.weights.sum(0) if self.weights.ndim == 2 else self.weights

    @property
    def shape_stencil(self) -> Stencil:
        """Positions to deformation gradients."""
        return Stencil(self.topology.corners, self.gradients)

    @property
    def force_stencil(self) -> Stencil:
        """The adjoint of stresses to nodal forces."""
        return Stencil(self.topology.corners, self.gradients, -self.weights)

    def deformation_gradient(self, positions: Float[Tensor, "*batch N 3"]) -> Matrix3:
        """F = dx/dX in every cell, nine fields `(M, *batch)`.

        From differences to corner 0, which float32 computes to 6e-7 where absolute positions give 1e-5.
        """
        return self.shape_stencil.gradient(positions)

    def integrate(self, density: Float[Tensor, "M *batch"]) -> Float[Tensor, "*batch"]:
        """The integral over the body of a field over its cells."""
        weights = over_batch(self.weights, density.ndim - self.weights.ndim)
        return (weights * density).flatten(0, self.weights.ndim - 1).sum(0)

    def forces(self, stress: Matrix3) -> Float[Tensor, "*batch N 3"]:
        """Nodal forces [N] of a first Piola-Kirchhoff stress [Pa]: minus the stress power's dual.

        The force on corner 0 is minus the sum of the others, so momentum is conserved to rounding.
        """
        return self.force_stencil.divergence(stress)

    def stiffness_blocks(
        self, tangent: Float[Tensor, "*batch_and_points M 9 9"]
    ) -> Float[Tensor, "*batch M 3C 3C"]:
        """The stiffness of each cell [N/m], by corner, then component, of a tangent dP/dF [Pa].

        The tangent has its axes of batch first, then that of quadrature points, if there are several.
        """
        others = self.gradients.movedim((0, 1), (-2, -1))  # (Q?, M, C - 1, 3)
        gradients = torch.cat([-others.sum(-2, keepdim=True), others], -2)
        weighted = self.weights[..., None, None] * gradients
        blocks = tangent.unflatten(-1, (3, 3)).unflatten(-3, (3, 3))
        half = torch.einsum("...ijkl,...bl->...ijbk", blocks, weighted)
        whole = torch.einsum("...aj,...ijbk->...aibk", gradients, half)
        if self.weights.ndim == 2:
            whole = whole.sum(-6)
        return whole.flatten(-2).flatten(-3, -2)

    def gradient_products(self) -> Float[Tensor, "M 3 3"]:
        """The sum over corners of (∇N)(∇N)ᵀ [1/m²], for elements with one quadrature point."""
        others = self.gradients.movedim(-1, 0)
        first = others.sum(1, keepdim=True)
        return others.mT @ others + first.mT @ first

    def vertex_masses(self, density: Float[Tensor, "*cells"]) -> Float[Tensor, "*batch N"]:
        """Lumped masses [kg] of a density [kg/m³]: each cell's mass in equal parts to its corners.

        The density is `()`, `(*batch, 1)` or `(*batch, M)`.
        """
        share = (density * self.volumes).movedim(-1, 0) / self.num_corners
        return self.topology.sum_to_vertices([share] * self.num_corners).movedim(0, -1)


def _at_quadrature_points(element: ElementType, mesh: Mesh) -> tuple[Tensor, Tensor]:
    """Shape gradients dN/dX (C, 3, Q?, M) and weights (Q?, M); no axis Q where there is one point."""
    corners = mesh.vertices.double()[mesh.cells]
    reference = element.shape_gradients(torch.tensor(element.points, dtype=torch.float64))
    jacobian = torch.einsum("mci,qcj->qmij", corners, reference)
    gradients = torch.einsum("qcj,qmji->ciqm", reference, torch.linalg.inv(jacobian))
    columns = jacobian.unbind(-1)
    volume = (columns[0] * torch.linalg.cross(columns[1], columns[2])).sum(-1)
    weights = torch.tensor(element.weights, dtype=torch.float64)[:, None] * volume
    if len(element.weights) == 1:
        gradients, weights = gradients[:, :, 0], weights[0]
    return gradients.to(mesh.vertices.dtype), weights.to(mesh.vertices.dtype)
