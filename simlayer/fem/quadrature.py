"""Shape gradients and volumes at the quadrature points of a mesh."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.elements.quadrature import QuadratureRule
from simlayer.elements.types import ELEMENT_TYPES, ElementType
from simlayer.mesh.mesh import Mesh


def quadrature_rule(element: ElementType, quadrature: str) -> QuadratureRule:
    """Return the rule of an element by its name, "full" or "reduced"; raises ValueError if it has none."""
    if quadrature == "full":
        return element.rule
    if quadrature != "reduced" or element.reduced_rule is None:
        known = "'full'" if element.reduced_rule is None else "'full' or 'reduced'"
        raise ValueError(f"quadrature of {element.name} must be {known}, got {quadrature!r}.")
    return element.reduced_rule


def at_quadrature_points(
    mesh: Mesh, rule: QuadratureRule
) -> tuple[Float[Tensor, "C 3 Q M"], Float[Tensor, "Q M"]]:
    """Return shape gradients dN/dX [1/m] and weights [m³] in every cell, in double precision."""
    points, weights = rule.tensors()
    reference = ELEMENT_TYPES[mesh.element].shape.gradients(points)
    nodes = mesh.vertices.double()[mesh.cells]
    jacobian = torch.einsum("mci,qcj->qmij", nodes, reference)
    gradients = torch.einsum("qcj,qmji->ciqm", reference, torch.linalg.inv(jacobian))
    columns = jacobian.unbind(-1)
    volume = (columns[0] * torch.linalg.cross(columns[1], columns[2])).sum(-1)
    return gradients, weights[:, None] * volume
