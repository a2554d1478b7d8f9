"""Shape gradients and volumes at the quadrature points of a mesh."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.elements.quadrature import QuadratureRule
from simlayer.elements.types import ELEMENT_TYPES, ElementType
from simlayer.mesh.mesh import Mesh

# Of an edge's length: far above the rounding of coordinates. Where edges are bent this little, the forces of
# a constant stress on inner vertices are below 1e-5 of those on the surface.
STRAIGHT = 1e-5


def quadrature_rule(mesh: Mesh, quadrature: str) -> QuadratureRule:
    """Return the rule for the stiffness of a mesh by its name, "full" or "reduced".

    Raises:
        ValueError: if its element has no rule of this name.
    """
    element = ELEMENT_TYPES[mesh.element]
    if quadrature == "full":
        return element.rule if has_straight_edges(mesh) else element.curved_rule
    if quadrature != "reduced" or element.reduced_rule is None:
        known = "'full'" if element.reduced_rule is None else "'full' or 'reduced'"
        raise ValueError(f"quadrature of {element.name} must be {known}, got {quadrature!r}.")
    return element.reduced_rule


def has_straight_edges(mesh: Mesh) -> bool:
    """Return whether the middle node of every edge, if there is one, lies halfway between its ends."""
    nodes = mesh.vertices.double()[mesh.cells]
    for first, second, *middle in ELEMENT_TYPES[mesh.element].edges:
        a, b = nodes[:, first], nodes[:, second]
        for node in middle:
            if ((nodes[:, node] - (a + b) / 2).norm(dim=-1) > STRAIGHT * (b - a).norm(dim=-1)).any():
                return False
    return True


def at_quadrature_points(
    element: ElementType, rule: QuadratureRule, nodes: Float[Tensor, "*batch M C 3"]
) -> tuple[Float[Tensor, "*batch C 3 Q M"], Float[Tensor, "*batch Q M"]]:
    """Return shape gradients dN/dX [1/m] and weights [m³] in every cell, in the precision of the nodes.

    A cell without volume has weights that are zero, and any gradients.
    """
    points, weights = (tensor.to(nodes) for tensor in rule.tensors())
    reference = element.shape.gradients(points)
    jacobian = torch.einsum("...mci,qcj->...qmij", nodes, reference)
    gradients = torch.einsum("qcj,...qmji->...ciqm", reference, torch.linalg.inv_ex(jacobian).inverse)
    columns = jacobian.unbind(-1)
    volume = (columns[0] * torch.linalg.cross(columns[1], columns[2])).sum(-1)
    return gradients, weights[:, None] * volume
