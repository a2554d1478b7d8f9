"""Rotations: matrices of rotation vectors, and back."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def rotation_matrix(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return the rotation about a vector by its length [rad]; smooth at zero."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    rows = ((zero, -z, y), (z, zero, -x), (-y, x, zero))
    return torch.linalg.matrix_exp(torch.stack([torch.stack(row, -1) for row in rows], -2))


def rotation_vector(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Return the rotation vector [rad] of a rotation by less than half a turn."""
    skew = 0.5 * (matrix - matrix.mT)
    sines = torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], -1)
    cosine = 0.5 * (matrix.diagonal(dim1=-2, dim2=-1).sum(-1) - 1)
    square = sines.square().sum(-1)
    # Angle over sine, from its series where it would be 0/0; the first term left out is below rounding.
    small = (square < 1e-6) & (cosine > 0)
    sine = torch.where(small, 1.0, square).sqrt()
    ratio = torch.where(small, 1 + square / 6 + 3 * square.square() / 40, torch.atan2(sine, cosine) / sine)
    return ratio[..., None] * sines
