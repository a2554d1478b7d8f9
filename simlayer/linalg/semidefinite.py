"""Projection of symmetric matrices onto the positive semi-definite ones."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def semidefinite_part(matrices: Float[Tensor, "*batch n n"]) -> Float[Tensor, "*batch n n"]:
    """Return symmetric matrices with their negative eigenvalues set to zero."""
    # Where a Cholesky factor exists nothing is to do, and it takes a tenth of the time of eigenvalues.
    indefinite = torch.linalg.cholesky_ex(matrices).info != 0
    values, vectors = torch.linalg.eigh(matrices[indefinite])
    result = matrices.clone()
    result[indefinite] = (vectors * values.clamp(min=0)[..., None, :]) @ vectors.mT
    return result
