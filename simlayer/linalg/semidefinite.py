"""Projection of symmetric matrices onto the positive semi-definite ones."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def semidefinite_part(matrices: Float[Tensor, "*batch n n"]) -> Float[Tensor, "*batch n n"]:
    """Return symmetric matrices with their negative eigenvalues set to zero."""
    values, vectors = torch.linalg.eigh(matrices)
    return (vectors * values.clamp(min=0)[..., None, :]) @ vectors.mT
