"""Conjugate gradients for many symmetric systems at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Product = Callable[[Tensor], Tensor]


class Solution(NamedTuple):
    """The result of conjugate gradients, for each sample.

    Attributes:
        vectors: the solution, or the best that was found.
        residual: its residual's norm relative to that of the right-hand side.
        indefinite: whether a direction was met along which the matrix is not positive; the solution then is
            what was found before, which is still a direction of descent.
        iterations: how many were taken by the slowest sample.
    """

    vectors: Float[Tensor, "B N 3"]
    residual: Float[Tensor, "B"]
    indefinite: Bool[Tensor, "B"]
    iterations: int


def conjugate_gradients(
    multiply: Product,
    right: Float[Tensor, "B N 3"],
    precondition: Product,
    *,
    tolerance: float,
    max_iterations: int,
) -> Solution:
    """Solve A x = b for each sample by itself, from x = 0 (Hestenes, Stiefel 1952; preconditioned).

    A sample that has converged, or whose matrix was found indefinite, stays where it is.

    Args:
        multiply: the products with A.
        right: the right-hand sides b.
        precondition: products with symmetric positive approximations of A⁻¹.
        tolerance: of |b - A x| / |b|.
        max_iterations: after which it gives up, without an error: see the residual.
    """
    x = torch.zeros_like(right)
    residual = right.clone()
    goal = tolerance * _norm(right)
    active = _norm(residual) > goal
    indefinite = torch.zeros_like(active)
    direction, previous = torch.zeros_like(right), torch.ones_like(goal)
    iteration = 0
    while bool(active.any()) and iteration < max_iterations:
        z = precondition(residual)
        rho = _dot(residual, z)
        beta = rho / previous if iteration else torch.zeros_like(rho)
        direction = torch.where(active[:, None, None], z + beta[:, None, None] * direction, direction)
        image = multiply(direction)
        curvature = _dot(direction, image)
        bad = active & ~((curvature > 0) & (rho > 0))
        if not iteration:
            # Not even one direction of positive curvature: what the preconditioner gives has to do.
            x = torch.where(bad[:, None, None], z * rho.sign()[:, None, None], x)
        indefinite, active = indefinite | bad, active & ~bad
        length = torch.where(active, rho / curvature, 0.0)[:, None, None]
        x, residual = x + length * direction, residual - length * image
        previous = torch.where(active, rho, previous)
        active = active & (_norm(residual) > goal)
        iteration += 1
    # The recursion of the residual drifts from what it stands for.
    true = _norm(right - multiply(x)) / _norm(right).clamp(min=torch.finfo(right.dtype).tiny)
    return Solution(x, true, indefinite, iteration)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((-1, -2))


def _norm(a: Tensor) -> Tensor:
    return _dot(a, a).sqrt()
