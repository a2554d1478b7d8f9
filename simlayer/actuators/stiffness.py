"""Bounds of the stiffness of parts that are no elements of a body."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def row_sums(
    blocks: Float[Tensor, "*batch M D D"], connectivity: Int[Tensor, "M C"], num_vertices: int
) -> Float[Tensor, "*batch N"]:
    """Return for each vertex the largest sum of absolute values in the rows of a stiffness matrix [N/m].

    Over the mass of the vertex, the largest of all is at least the highest frequency squared (Gershgorin).
    """
    rows = blocks.abs().sum(-1).unflatten(-1, (-1, 3)).amax(-1)
    zeros = torch.zeros(*rows.shape[:-2], num_vertices).to(rows)
    return zeros.index_add(-1, connectivity.flatten(), rows.flatten(-2))
