"""Lumped masses: the volume of each cell shared among its nodes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# No node has less than this part of what the diagonal of the consistent mass gives it.
LEAST_PART = 0.1


def lumped_volumes(
    functions: Float[Tensor, "Q C"],
    weights: Float[Tensor, "*batch Q M"],
    nodes: Float[Tensor, "*batch M C 3"],
) -> Float[Tensor, "*batch C M"]:
    """Return the volume of each node in each cell [m³]: positive, with the cell's volume and centroid.

    The diagonal of the consistent mass, scaled to the total (Hinton, Rock, Zienkiewicz 1976), times a linear
    function of the position that moves the centroid where it belongs: one in parallelepipeds, and tetrahedra
    with straight edges. In a cell so uneven that a node would be left with less than a tenth, it moves a
    part of the way.

    Args:
        functions: values of the shape functions at quadrature points.
        weights: volumes of these points in each cell.
        nodes: positions of the nodes of each cell.
    """
    volumes = weights.sum(-2)
    diagonal = functions.square().T @ weights
    parts = diagonal / diagonal.sum(-2, keepdim=True) * volumes[..., None, :]
    # From the first node, so that a body far from the origin loses no digits.
    x = nodes - nodes[..., :1, :]
    centroid = torch.einsum("...qm,qc,...mci->...mi", weights, functions, x) / volumes[..., None]
    lumped = torch.einsum("...cm,...mci->...mi", parts, x) / volumes[..., None]
    arms = x - lumped[..., None, :]
    moments = torch.einsum("...cm,...mci,...mcj->...mij", parts, arms, arms)
    slopes = torch.linalg.solve_ex(moments, volumes[..., None] * (centroid - lumped)).result
    changes = torch.einsum("...mci,...mi->...cm", arms, slopes)
    largest = -changes.amin(-2, keepdim=True)
    return parts * (1 + changes * ((1 - LEAST_PART) / largest.clamp(min=1 - LEAST_PART)))
