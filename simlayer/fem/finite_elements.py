"""The cells of a mesh as finite elements: gradients, integrals, stiffness, masses."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from simlayer.fem.fields import batch_first, cells_first, over_batch
from simlayer.fem.gather import Gather
from simlayer.fem.gradient import GradientOperator
from simlayer.fem.gradient_kernels import GradientKernels, ShapeGradients
from simlayer.fem.locality import LocalOrder, local_order
from simlayer.fem.quadrature import quadrature_rule
from simlayer.fem.rest_shape import RestShaped, cell_geometry, mass_functions
from simlayer.fem.sparse_kernels import SparseKernels
from simlayer.fem.stiffness import largest_eigenvalue, rest_eigenvalue_bounds, stiffness_blocks
from simlayer.linalg.matrix3 import Matrix3
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.validation import check_constant
from simlayer.quantities.arguments import checked_choice
from simlayer.quantities.objects import checked_instance


class FiniteElements(nn.Module, RestShaped):
    """The cells of a mesh as finite elements.

    Fields over cells are `(M, *batch)`, and `(Q, M, *batch)` for elements with several quadrature points:
    cells first, so that a compiled step is one loop over cells and their samples. Each cell has C nodes.

    Args:
        mesh: the body in its rest shape.
        deterministic: how node values are summed to vertices, see `Gather`.
        quadrature: "full" passes the patch test (a constant stress is in balance at every inner vertex):
            with 14 points per hex20 and 4 per tet10 where all edges are straight, else with 27 and 8.
            "reduced" has 8 points per hex20: half the error of a bent or nearly incompressible body, and six
            motions without stiffness of a cell that is alone, so it is not for bodies that are only one cell
            thick in two directions, see `fem.hourglass`; steps warn of them. Per tet10 it has 4 points. It
            passes the patch test where edges are straight; nodes that are moved by 1 % of an edge leave
            forces inside of 2e-4 of the outer ones for hex20 and of 1e-4 for tet10, by 3 % ten times as much.
        local: whether compiled forces may go through the cells in another order, see `fem.locality`.
        cells: the cells that are integrated over, K of the M, which fields have values for; all by default.

    Attributes:
        kernels: how gradients and their adjoints are computed, see `fem.compiler_layout`.
    """

    gradients: Tensor
    weights: Tensor
    lumped_volumes: Tensor
    mass_functions: Tensor
    mass_weights: Tensor
    cells: Tensor | None
    # Not None while a call gives other rest positions than those of the mesh.
    reshaped: Tensor | None

    def __init__(
        self,
        mesh: Mesh,
        *,
        deterministic: bool | None = None,
        quadrature: Literal["full", "reduced"] = "full",
        local: bool = False,
        cells: Int[Tensor, "K"] | None = None,
    ) -> None:
        super().__init__()
        self.mesh = checked_instance("mesh", mesh, Mesh)
        # vertices.requires_grad_() comes after the mesh's own check.
        check_constant(mesh.vertices, mesh.source)
        checked_choice("quadrature", quadrature, ("full", "reduced"))
        checked_choice("deterministic", deterministic, (True, False, None))
        self.register_buffer("cells", cells, persistent=False)
        chosen = mesh.cells if cells is None else mesh.cells[cells]
        self.gather = Gather(chosen, len(mesh.vertices), deterministic=deterministic)
        self.kernels: GradientKernels = SparseKernels()
        self.num_cells, self.nodes_per_cell = chosen.shape
        self.quadrature, self.rule = quadrature, quadrature_rule(mesh, quadrature)
        self.has_points = len(self.rule.weights) > 1
        geometry = cell_geometry(chosen, self.rule, mesh.vertices)
        functions = mass_functions(chosen).to(mesh.vertices)
        for name, buffer in (geometry | {"mass_functions": functions}).items():
            self.register_buffer(name, buffer, persistent=False)
        self.register_buffer("reshaped", None, persistent=False)
        local = local and cells is None
        self.local = local_order(mesh, self.gather, self.gradients, self.weights) if local else None

    def at_rest_positions(self, rest_positions: Float[Tensor, "*batch N 3"]) -> dict[str, Tensor]:
        values = cell_geometry(self.connectivity, self.rule, rest_positions)
        if self.local:
            for name, own_axes in (("gradients", 3 + self.has_points), ("weights", 1 + self.has_points)):
                ordered = values[name].index_select(own_axes - 1, self.local.cells)
                values[f"local.{name}"] = ordered
        return values | {"reshaped": rest_positions.new_ones(())}

    @property
    def connectivity(self) -> Int[Tensor, "M C"]:
        """The vertices of each cell."""
        return self.gather.cells.T

    @property
    def kind(self) -> tuple[int, str]:
        """What two of them with equal gradients and weights have in common: mesh, quadrature and cells."""
        return id(self.mesh if self.cells is None else self), self.quadrature

    def over_all_cells(self, values: Float[Tensor, "*batch #K"]) -> Float[Tensor, "*batch #M"]:
        """Return values over these cells as values over all cells of the mesh, zero for the others."""
        if self.cells is None:
            return values
        zeros = values.new_zeros((*values.shape[:-1], len(self.mesh.cells)))
        return zeros.index_copy(-1, self.cells, values.expand(*values.shape[:-1], self.num_cells))

    @property
    def volumes(self) -> Float[Tensor, "*batch M"]:
        """The rest volume of each cell [m³]."""
        return batch_first(self.mass_weights, 2).sum(-2) if self.has_points else batch_first(self.weights, 1)

    @property
    def gradient_operator(self) -> GradientOperator:
        """The map from positions to deformation gradients."""
        return GradientOperator(self._shape, self.kernels)

    @property
    def weighted_gradient_operator(self) -> GradientOperator:
        """The gradient times minus the volume, whose adjoint maps stresses to nodal forces."""
        return GradientOperator(self._shape._replace(weights=-self.weights), self.kernels)

    def stress_operators(self) -> tuple[GradientOperator, GradientOperator, LocalOrder | None]:
        """Return the two operators of nodal forces, and the order of their cells if it is another one."""
        if self.local is None or not self.kernels.reorders:
            return self.gradient_operator, self.weighted_gradient_operator, None
        local = self.local
        nodes, order = local.gather.nodes, local.vertex_order
        shape = self._shape._replace(nodes=nodes, gradients=local.gradients, order=order)
        plain, weighted = (shape._replace(weights=weights) for weights in (None, -local.weights))
        return GradientOperator(plain, self.kernels), GradientOperator(weighted, self.kernels), local

    def deformation_gradient(self, positions: Float[Tensor, "*batch N 3"]) -> Matrix3:
        """Return F = dx/dX in every cell, nine fields `(M, *batch)`.

        From differences to node 0, which float32 computes to 6e-7 where absolute positions give 1e-5.
        """
        return self.gradient_operator.gradient(positions)

    def integrate(self, density: Float[Tensor, "*cells_and_batch"]) -> Float[Tensor, "*batch"]:
        """Return the integral over the body of a field over its cells."""
        own = 1 + self.has_points
        weights = over_batch(self.weights, own, density.ndim - own)
        return (weights * density).flatten(0, own - 1).sum(0)

    def forces(self, stress: Matrix3) -> Float[Tensor, "*batch N 3"]:
        """Return the nodal forces [N] of a first Piola-Kirchhoff stress [Pa].

        The force on node 0 is minus the sum of the others, so momentum is conserved to rounding.
        """
        return self.weighted_gradient_operator.divergence(stress)

    def stiffness_blocks(
        self, tangent: Float[Tensor, "*batch_and_points M 9 9"]
    ) -> Float[Tensor, "*batch M D D"]:
        """Return the stiffness of each cell [N/m], D = 3 C, by node, then component, of a tangent dP/dF [Pa].

        The tangent has its axes of batch first, then that of quadrature points, if there are several.
        """
        tangent = tangent if self.has_points else tangent.unsqueeze(-4)
        return stiffness_blocks(*self._at_points(), tangent)

    def largest_eigenvalue(
        self, tangent: Float[Tensor, "*batch_and_points M 9 9"]
    ) -> Float[Tensor, "*batch M"]:
        """Return the largest eigenvalue of the stiffness of each cell [N/m], nodes weighed by their masses.

        That is, of W^-½ K W^-½, where W holds the lumped masses over their mean in the cell.
        """
        return self.largest_block_eigenvalue(self.stiffness_blocks(tangent))

    def largest_block_eigenvalue(self, blocks: Float[Tensor, "*batch M D D"]) -> Float[Tensor, "*batch M"]:
        """Return the same of the stiffness of each cell itself [N/m]."""
        return largest_eigenvalue(blocks, self._mass_ratios())

    def shape_gradients(self) -> Float[Tensor, "*batch Q M C 3"]:
        """Return the gradients of the shape functions of all nodes at the quadrature points [1/m]."""
        return self._at_points()[0]

    def rest_eigenvalue_bounds(self) -> tuple[Float[Tensor, "*batch M"], Float[Tensor, "*batch M"]]:
        """Return `largest_eigenvalue` [m] for unit tangents: of the energy (tr dF)² / 2, and of |dF|² / 2."""
        return rest_eigenvalue_bounds(*self._at_points(), self._mass_ratios())

    def current_bounds(self, of_mesh: Float[Tensor, "2 M"]) -> Float[Tensor, "2 *batch M"]:
        """Return `rest_eigenvalue_bounds`, known for the mesh, at the rest positions of this call."""
        return of_mesh if self.reshaped is None else torch.stack(self.rest_eigenvalue_bounds())

    @property
    def _shape(self) -> ShapeGradients:
        return ShapeGradients(
            self.gather.nodes,
            self.gradients,
            None,
            has_points=self.has_points,
            varies=self.reshaped is not None,
        )

    def _at_points(self) -> tuple[Float[Tensor, "*batch Q M C 3"], Float[Tensor, "*batch Q M"]]:
        """Shape gradients of all nodes [1/m], and weights [m³]."""
        gradients, weights = self.gradients, self.weights
        if not self.has_points:
            gradients, weights = gradients.unsqueeze(2), weights.unsqueeze(0)
        others = batch_first(gradients, 4).movedim((-4, -3), (-2, -1))
        return torch.cat([-others.sum(-2, keepdim=True), others], -2), batch_first(weights, 2)

    def _mass_ratios(self) -> Float[Tensor, "*batch M C"]:
        """Lumped masses of the nodes over their mean in the cell; one for linear elements."""
        volumes = batch_first(self.lumped_volumes, 2)
        return (volumes / volumes.mean(-2, keepdim=True)).mT

    def vertex_masses(self, density: Float[Tensor, "*cells"]) -> Float[Tensor, "*batch N"]:
        """Return the lumped mass of each vertex [kg] for a density [kg/m³].

        Positive, with the mass and centre of mass of every cell: equal parts in tet4, see `lumped_volumes`.

        The density is `()`, `(*batch, 1)` or `(*batch, M)`.
        """
        volumes = batch_first(self.lumped_volumes, 2).unbind(-2)
        shares = torch.stack([(density * volume).movedim(-1, 0) for volume in volumes])
        return self.gather.nodes.sum_to_vertices(shares[None])[0].movedim(0, -1)

    def mass_product(
        self,
        density: Float[Tensor, "*cells"],
        vectors: Float[Tensor, "*batch N 3"],
        *,
        mass_weights: Tensor | None = None,
    ) -> Float[Tensor, "*batch N 3"]:
        """Return the consistent mass matrix [kg] times vectors, for a density as in `vertex_masses`.

        With `mass_weights` in place of those that the elements have now.
        """
        nodes, batch_axes = self.gather.nodes, vectors.ndim - 2
        weights = self.mass_weights if mass_weights is None else mass_weights
        functions, weights = self.mass_functions, over_batch(weights, 2, batch_axes)
        at_nodes = nodes.gather(vectors.movedim((-1, -2), (0, 1)))
        inside = torch.einsum("qc,icm...->iqm...", functions, at_nodes)
        weighted = weights * cells_first(density, batch_axes) * inside
        values = torch.einsum("qc,iqm...->icm...", functions, weighted)
        return nodes.sum_to_vertices(values).movedim((0, 1), (-1, -2))

    def mass_blocks(self, density: Float[Tensor, "*cells"]) -> Float[Tensor, "*batch M C C"]:
        """Return the consistent mass of each cell [kg] for a density [kg/m³], shaped as in `vertex_masses`.

        It is that of each component. Exact where edges are straight and hexahedra parallelepipeds.
        """
        functions = self.mass_functions
        weights = batch_first(self.mass_weights, 2)
        blocks = torch.einsum("...qm,qa,qb->...mab", weights, functions, functions)
        return density[..., None, None] * blocks
