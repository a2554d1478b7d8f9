"""The cells of a mesh as finite elements: gradients, integrals, stiffness, masses."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from simlayer.elements.quadrature import QuadratureRule
from simlayer.elements.types import ELEMENT_TYPES, ElementType
from simlayer.fem.gather import Topology
from simlayer.fem.gradient import Stencil, over_batch
from simlayer.linalg.matrix3 import Matrix3
from simlayer.mesh.geometry import jacobian_determinants
from simlayer.mesh.mesh import Mesh


class FiniteElements(nn.Module):
    """The cells of a mesh as finite elements.

    Fields over cells are `(M, *batch)`, and `(Q, M, *batch)` for elements with several quadrature points:
    cells first, so that a compiled step is one loop over cells and their samples. The corners of a cell are
    all of its nodes here, C of them.

    Args:
        mesh: the body in its rest shape.
        deterministic: how corner values are summed to vertices, see `Topology`.
        quadrature: "full", or "reduced" for hex20: 8 points instead of 14, half the error of a bent or nearly
            incompressible body, and six motions without stiffness of a cell that is alone. Not for bodies
            that are only one cell thick in two directions.
    """

    gradients: Tensor
    weights: Tensor
    lumped_volumes: Tensor
    mass_functions: Tensor
    mass_weights: Tensor

    def __init__(
        self,
        mesh: Mesh,
        *,
        deterministic: bool | None = None,
        quadrature: Literal["full", "reduced"] = "full",
    ) -> None:
        super().__init__()
        element = ELEMENT_TYPES[mesh.element]
        self.topology = Topology(mesh.cells, len(mesh.vertices), deterministic=deterministic)
        self.num_cells, self.num_corners = mesh.cells.shape
        gradients, weights = at_quadrature_points(mesh, _rule(element, quadrature))
        if len(weights) == 1:
            gradients, weights = gradients[:, :, 0], weights[0]
        points, parts = element.mass_rule.tensors()
        functions = element.shape.functions(points)
        mass_weights = parts[:, None] * jacobian_determinants(mesh.vertices.double(), mesh.cells, points)
        # HRZ lumping: the diagonal of the consistent mass, scaled to the total. Always positive.
        diagonal = functions.square().T @ mass_weights
        buffers = {
            # Corner 0 is the origin of the differences below and needs no gradient of its own.
            "gradients": gradients[1:].contiguous(),
            "weights": weights,
            "lumped_volumes": diagonal / diagonal.sum(0) * mass_weights.sum(0),
            "mass_functions": functions,
            "mass_weights": mass_weights,
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer.to(mesh.vertices.dtype), persistent=False)

    @property
    def volumes(self) -> Float[Tensor, "M"]:
        """Rest volumes [m³]."""
        return self.mass_weights.sum(0) if self.weights.ndim == 2 else self.weights

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

    def integrate(self, density: Float[Tensor, "*cells_and_batch"]) -> Float[Tensor, "*batch"]:
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
    ) -> Float[Tensor, "*batch M D D"]:
        """The stiffness of each cell [N/m], D = 3 C, by corner, then component, of a tangent dP/dF [Pa].

        The tangent has its axes of batch first, then that of quadrature points, if there are several.
        """
        gradients = self._all_gradients()
        weighted = self.weights[..., None, None] * gradients
        if self.weights.ndim == 1:
            gradients, weighted, tangent = gradients[None], weighted[None], tangent.unsqueeze(-4)
        # H_ijkl G_bl, then the sum over points and j of G_aj with it, as two products of matrices a cell.
        half = tangent.reshape(*tangent.shape[:-2], 27, 3) @ weighted.mT
        corners = half.shape[-1]
        half = half.unflatten(-2, (3, 3, 3)).movedim((-6, -3), (-5, -4))  # (*batch, M, Q, j, i, k, b)
        left = gradients.permute(1, 2, 0, 3).flatten(2)  # (M, a, Q j)
        whole = left @ half.flatten(-3).flatten(-3, -2)
        return whole.unflatten(-1, (3, 3, corners)).transpose(-1, -2).flatten(-2).flatten(-3, -2)

    def largest_stiffness(
        self, tangent: Float[Tensor, "*batch_and_points M 9 9"]
    ) -> Float[Tensor, "*batch M"]:
        """The largest eigenvalue of the stiffness of each cell [N/m], with corners weighed by their masses.

        That is, of W^-½ K W^-½ with W the lumped masses over their mean in the cell; one for linear elements.
        """
        scale = self._mass_ratios().rsqrt().repeat_interleave(3, -1)
        blocks = self.stiffness_blocks(tangent)
        return torch.linalg.eigvalsh(scale[:, :, None] * blocks * scale[:, None, :])[..., -1]

    def unit_stiffnesses(self) -> tuple[Float[Tensor, "M"], Float[Tensor, "M"]]:
        """Largest eigenvalues [m] of the stiffness of p (tr dF)² and of q |dF|², over p and q, likewise."""
        gradients = self._all_gradients() / self._mass_ratios().sqrt()[..., None]
        rows = (self.weights.sqrt()[..., None, None] * gradients).reshape(-1, *gradients.shape[-3:])
        pressure = torch.einsum("qmcj,rmcj->mqr", rows, rows)
        shear = torch.einsum("qmaj,qmbj->mab", rows, rows)
        return torch.linalg.eigvalsh(pressure)[:, -1], torch.linalg.eigvalsh(shear)[:, -1]

    def _all_gradients(self) -> Float[Tensor, "*points M C 3"]:
        """Shape gradients of all corners [1/m]."""
        others = self.gradients.movedim((0, 1), (-2, -1))
        return torch.cat([-others.sum(-2, keepdim=True), others], -2)

    def _mass_ratios(self) -> Float[Tensor, "M C"]:
        """Lumped masses of the corners over their mean in the cell."""
        return (self.lumped_volumes / self.lumped_volumes.mean(0)).T

    def vertex_masses(self, density: Float[Tensor, "*cells"]) -> Float[Tensor, "*batch N"]:
        """Lumped masses [kg] of a density [kg/m³].

        Each cell gives its mass to its corners in proportion to the diagonal of its consistent mass: in equal
        parts for linear elements (Hinton, Rock, Zienkiewicz 1976).

        The density is `()`, `(*batch, 1)` or `(*batch, M)`.
        """
        shares = [(density * volume).movedim(-1, 0) for volume in self.lumped_volumes]
        return self.topology.sum_to_vertices(shares).movedim(0, -1)

    def mass_product(
        self, density: Float[Tensor, "*cells"], vectors: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch N 3"]:
        """The consistent mass matrix times vectors [kg], of a density [kg/m³] as in `vertex_masses`."""
        corners = self.topology.corners.gather_stacked(vectors.movedim((-1, -2), (0, 1)))
        batch_axes = corners.ndim - 3
        functions, weights = self.mass_functions, over_batch(self.mass_weights, batch_axes)
        inside = torch.einsum("qc,icm...->iqm...", functions, corners)
        weighted = weights * cells_first(density, batch_axes) * inside
        values = torch.einsum("qc,iqm...->icm...", functions, weighted)
        return self.topology.corners.sum_stacked(values).movedim((0, 1), (-1, -2))

    def mass_blocks(self, density: Float[Tensor, "*cells"]) -> Float[Tensor, "*batch M C C"]:
        """The consistent mass of each cell [kg] of a density [kg/m³], shaped as in `vertex_masses`.

        The same for each component. Exact where edges are straight and hexahedra parallelepipeds.
        """
        functions = self.mass_functions
        blocks = torch.einsum("qm,qa,qb->mab", self.mass_weights, functions, functions)
        return density[..., None, None] * blocks


def cells_first(
    value: Float[Tensor, "*batch_and_own"], batch_axes: int, *, regions: Int[Tensor, "M"] | None = None
) -> Float[Tensor, "*own_and_batch"]:
    """A quantity over cells, or regions, as `(own, *batch)`, aligned with fields of `batch_axes` batch axes.

    Raises:
        ValueError: if it has more.
    """
    if value.ndim == 0:
        return value
    if value.ndim - 1 > batch_axes:
        raise ValueError(
            f"a quantity of shape {tuple(value.shape)} has {value.ndim - 1} batch axes, the positions have "
            f"{batch_axes}; expand the positions to the batch, or call through a RolloutModule, which does."
        )
    value = value.movedim(-1, 0)
    if regions is not None and value.shape[0] > 1:
        value = value[regions]
    return value.reshape(value.shape[0], *[1] * (batch_axes - value.ndim + 1), *value.shape[1:])


def _rule(element: ElementType, quadrature: str) -> QuadratureRule:
    if quadrature == "full":
        return element.rule
    if quadrature != "reduced" or element.reduced_rule is None:
        known = "'full'" if element.reduced_rule is None else "'full' or 'reduced'"
        raise ValueError(f"quadrature of {element.name} must be {known}, got {quadrature!r}.")
    return element.reduced_rule


def at_quadrature_points(
    mesh: Mesh, rule: QuadratureRule
) -> tuple[Float[Tensor, "C 3 Q M"], Float[Tensor, "Q M"]]:
    """Shape gradients dN/dX [1/m] and weights [m³] in every cell, in double precision."""
    points, weights = rule.tensors()
    reference = ELEMENT_TYPES[mesh.element].shape.gradients(points)
    corners = mesh.vertices.double()[mesh.cells]
    jacobian = torch.einsum("mci,qcj->qmij", corners, reference)
    gradients = torch.einsum("qcj,qmji->ciqm", reference, torch.linalg.inv(jacobian))
    columns = jacobian.unbind(-1)
    volume = (columns[0] * torch.linalg.cross(columns[1], columns[2])).sum(-1)
    return gradients, weights[:, None] * volume
