"""What follows from the rest positions of a body's vertices, in its mesh or in a call that gives others."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float, Int
from torch import Tensor

from simlayer.elements.quadrature import QuadratureRule
from simlayer.elements.types import element_of
from simlayer.fem.fields import batch_last
from simlayer.fem.lumping import lumped_volumes
from simlayer.fem.quadrature import at_quadrature_points
from simlayer.mesh.geometry import jacobian_determinants


class RestShaped(ABC):
    """A module with buffers that follow from the rest shape of a body.

    Steps that read other rest positions than those of their mesh have them computed anew, once per call. A
    force of one's own that keeps areas or volumes, say, has to derive from this class, too.
    """

    @abstractmethod
    def at_rest_positions(self, rest_positions: Float[Tensor, "*batch N 3"]) -> dict[str, Tensor]:
        """Return the buffers that follow from rest positions [m], differentiably, by their names."""


def mass_functions(cells: Int[Tensor, "M C"]) -> Float[Tensor, "Q C"]:
    """Return the shape functions at the points of the rule for masses, in double precision."""
    element = element_of(cells)
    return element.shape.functions(element.mass_rule.tensors()[0])


def cell_geometry(
    cells: Int[Tensor, "M C"], rule: QuadratureRule, rest_positions: Float[Tensor, "*batch N 3"]
) -> dict[str, Tensor]:
    """Return what integrals over the cells need: fields with cells first, the batch last.

    Computed in double precision: `gradients` of the shape functions of all nodes but the first
    `(C - 1, 3, Q?, M)` [1/m], `weights` of the quadrature points `(Q?, M)` [m³], without an axis of a single
    one, `lumped_volumes` of the nodes `(C, M)` [m³] and `mass_weights` of the rule for masses `(Q, M)` [m³].
    """
    element, exact = element_of(cells), rest_positions.double()
    # In the order of memory that an index has, sums over nodes would be rounded otherwise than in the mesh.
    nodes = exact[..., cells.contiguous(), :]
    gradients, weights = at_quadrature_points(element, rule, nodes)
    points, parts = (tensor.to(exact) for tensor in element.mass_rule.tensors())
    mass_weights = parts[:, None] * jacobian_determinants(exact, cells, points)
    lumped = lumped_volumes(mass_functions(cells).to(exact), mass_weights, nodes)
    single = len(rule.weights) == 1
    # Node 0 is the origin of differences and needs no gradient of its own.
    gradients = gradients[..., 1:, :, 0, :] if single else gradients[..., 1:, :, :, :]
    fields = {
        "gradients": batch_last(gradients, 4 - single),
        "weights": batch_last(weights[..., 0, :] if single else weights, 2 - single),
        "lumped_volumes": batch_last(lumped, 2),
        "mass_weights": batch_last(mass_weights, 2),
    }
    return {name: field.to(rest_positions.dtype).contiguous() for name, field in fields.items()}
