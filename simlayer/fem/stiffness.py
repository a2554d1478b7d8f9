"""The stiffness of single cells, and its largest eigenvalue."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# Numbers that stay in a processor's cache.
_CACHED = 2**17


def stiffness_blocks(
    gradients: Float[Tensor, "*shapes Q M C 3"],
    weights: Float[Tensor, "*shapes Q M"],
    tangent: Float[Tensor, "*batch Q M 9 9"],
) -> Float[Tensor, "*_ M D D"]:
    """Return the stiffness of each cell [N/m], D = 3 C, by node, then component.

    Args:
        gradients: of the shape functions [1/m], with a batch where rest shapes differ.
        weights: volumes of the quadrature points [m³].
        tangent: dP/dF [Pa].
    """
    batch = torch.broadcast_shapes(tangent.shape[:-4], weights.shape[:-2])
    if weights.ndim > 2:
        gradients, weights, tangent = (
            field.expand(*batch, *field.shape[-own:])
            for field, own in ((gradients, 4), (weights, 2), (tangent, 4))
        )
    count, cells, size = gradients.shape[-4:-1]
    gradients = gradients.reshape(-1, count, cells, size, 3)
    weighted = weights.reshape(-1, count, cells, 1, 1) * gradients
    tangent = tangent.reshape(-1, count, cells, 3, 3, 3, 3)
    result = tangent.new_empty(len(tangent), cells, size, 3, size, 3)
    # So few cells at a time that what is between the two products stays in the cache of a processor.
    several = max(1, _CACHED // (27 * count * size * len(tangent)))
    for first in range(0, cells, several):
        part = slice(first, first + several)
        # H_ijkl G_bl, then the sum over points and j of G_aj with it, as two products of matrices per cell.
        columns = tangent[:, :, part].permute(0, 2, 1, 4, 3, 5, 6).flatten(3, 5)  # (B, m, Q, j i k, l)
        half = columns @ weighted[:, :, part].permute(0, 2, 1, 4, 3)
        half = half.unflatten(3, (3, 3, 3)).transpose(-1, -2)
        rows = gradients[:, :, part].permute(0, 2, 3, 1, 4).flatten(3)  # (B or 1, m, a, Q j)
        whole = rows @ half.reshape(*half.shape[:2], 3 * count, -1)
        result[:, part] = whole.unflatten(-1, (3, size, 3))
    return result.reshape(*batch, cells, 3 * size, 3 * size)


def largest_eigenvalue(
    blocks: Float[Tensor, "*batch M D D"], mass_ratios: Float[Tensor, "*#batch M C"]
) -> Float[Tensor, "*batch M"]:
    """Return the largest eigenvalue of W^-½ K W^-½ for each stiffness K [N/m] and the mass ratios W."""
    scale = mass_ratios.rsqrt().repeat_interleave(3, -1)
    return torch.linalg.eigvalsh(scale[..., :, None] * blocks * scale[..., None, :])[..., -1]


def rest_eigenvalue_bounds(
    gradients: Float[Tensor, "*batch Q M C 3"],
    weights: Float[Tensor, "*batch Q M"],
    mass_ratios: Float[Tensor, "*batch M C"],
) -> tuple[Float[Tensor, "*batch M"], Float[Tensor, "*batch M"]]:
    """Return `largest_eigenvalue` [m] for unit tangents: of the energy (tr dF)² / 2, and of |dF|² / 2."""
    gradients = gradients / mass_ratios.sqrt()[..., None, :, :, None]
    rows = weights.sqrt()[..., None, None] * gradients
    pressure = torch.einsum("...qmcj,...rmcj->...mqr", rows, rows)
    shear = torch.einsum("...qmaj,...qmbj->...mab", rows, rows)
    return torch.linalg.eigvalsh(pressure)[..., -1], torch.linalg.eigvalsh(shear)[..., -1]
