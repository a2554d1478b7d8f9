"""The logarithm of symmetric positive definite matrices, with derivatives where eigenvalues coincide."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

# Below this relative difference the quotient of differences of two logarithms is its series.
_NEAR = 1e-3


def symmetric_log(matrices: Float[Tensor, "*batch n n"]) -> Float[Tensor, "*batch n n"]:
    """Return the logarithm of symmetric positive definite matrices, once differentiable everywhere.

    The derivative is that of Daleckii and Krein (1965): in the basis of the eigenvectors every entry is
    multiplied by a quotient of differences, which has a limit where two eigenvalues coincide.
    """
    result: Tensor = _SymmetricLog.apply(matrices)[0]
    return result


class _SymmetricLog(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(matrices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(matrices)
        return (vectors * values.log()[..., None, :]) @ vectors.mT, values, vectors

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor, Tensor]) -> None:
        _, values, vectors = output
        ctx.mark_non_differentiable(values, vectors)
        ctx.save_for_backward(values, vectors)
        ctx.save_for_forward(values, vectors)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, cotangent: Tensor, *_: Tensor) -> Tensor:
        values, vectors = ctx.saved_tensors
        return _derivative(values, vectors, cotangent)

    @staticmethod
    def jvp(ctx: Any, direction: Tensor) -> tuple[Tensor, None, None]:
        values, vectors = ctx.saved_tensors
        return _derivative(values, vectors, direction), None, None


def _derivative(values: Tensor, vectors: Tensor, direction: Tensor) -> Tensor:
    """Return the derivative along a direction, which is its own adjoint."""
    inside = vectors.mT @ (0.5 * (direction + direction.mT)) @ vectors
    return vectors @ (_quotients(values) * inside) @ vectors.mT


def _quotients(values: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n n"]:
    """Return (log a - log b) / (a - b) for all pairs of values, 1/a where they coincide."""
    a, b = values[..., :, None], values[..., None, :]
    mean, half = (a + b) / 2, (a - b) / 2
    ratio = half / mean
    # log(a/b) = 2 artanh(ratio)
    series = 1 + ratio**2 / 3 + ratio**4 / 5
    apart = torch.where(ratio.abs() > _NEAR, ratio, 0.5)
    return torch.where(ratio.abs() > _NEAR, torch.atanh(apart) / apart, series) / mean
