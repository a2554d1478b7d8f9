"""The stiffness of single cells, and its largest eigenvalue."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def stiffness_blocks(
    gradients: Float[Tensor, "*points M C 3"],
    weights: Float[Tensor, "*points M"],
    tangent: Float[Tensor, "*batch_and_points M 9 9"],
) -> Float[Tensor, "*batch M D D"]:
    """Return the stiffness of each cell [N/m], D = 3 C, by node, then component.

    Args:
        gradients: of the shape functions [1/m].
        weights: volumes of the quadrature points [m³], or of the cells.
        tangent: dP/dF [Pa], axes of batch first, then that of quadrature points, if there are several.
    """
    weighted = weights[..., None, None] * gradients
    if weights.ndim == 1:
        gradients, weighted, tangent = gradients[None], weighted[None], tangent.unsqueeze(-4)
    # H_ijkl G_bl, then the sum over points and j of G_aj with it, as two products of matrices per cell.
    half = tangent.reshape(*tangent.shape[:-2], 27, 3) @ weighted.mT
    half = half.unflatten(-2, (3, 3, 3)).movedim((-6, -3), (-5, -4))  # (*batch, M, Q, j, i, k, b)
    left = gradients.permute(1, 2, 0, 3).flatten(2)  # (M, a, Q j)
    whole = left @ half.flatten(-3).flatten(-3, -2)
    count = gradients.shape[-2]
    return whole.unflatten(-1, (3, 3, count)).transpose(-1, -2).flatten(-2).flatten(-3, -2)


def largest_eigenvalue(
    blocks: Float[Tensor, "*batch M D D"], mass_ratios: Float[Tensor, "M C"]
) -> Float[Tensor, "*batch M"]:
    """Return the largest eigenvalue of W^-½ K W^-½ for each stiffness K [N/m] and the mass ratios W."""
    scale = mass_ratios.rsqrt().repeat_interleave(3, -1)
    return torch.linalg.eigvalsh(scale[:, :, None] * blocks * scale[:, None, :])[..., -1]


def rest_eigenvalue_bounds(
    gradients: Float[Tensor, "*points M C 3"],
    weights: Float[Tensor, "*points M"],
    mass_ratios: Float[Tensor, "M C"],
) -> tuple[Float[Tensor, "M"], Float[Tensor, "M"]]:
    """Return `largest_eigenvalue` [m] for unit tangents: of the energy (tr dF)² / 2, and of |dF|² / 2."""
    gradients = gradients / mass_ratios.sqrt()[..., None]
    rows = (weights.sqrt()[..., None, None] * gradients).reshape(-1, *gradients.shape[-3:])
    pressure = torch.einsum("qmcj,rmcj->mqr", rows, rows)
    shear = torch.einsum("qmaj,qmbj->mab", rows, rows)
    return torch.linalg.eigvalsh(pressure)[:, -1], torch.linalg.eigvalsh(shear)[:, -1]
