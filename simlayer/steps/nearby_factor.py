"""Solutions with the tangent at some positions, given the factor of one near by."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.solvers.conjugate_gradients import Product, conjugate_gradients
from simlayer.solvers.linear import Inverse
from simlayer.solvers.problem import flattened
from simlayer.steps.incremental_potential import IncrementalPotential

# Some seven iterations are usual. After so many, the tangent has changed by too much.
_MOST_ITERATIONS = 15


def solution_near(
    problem: IncrementalPotential,
    positions: Float[Tensor, "*batch N 3"],
    right: Float[Tensor, "*batch N 3"],
    inverse: Inverse,
    *,
    tolerance: float,
) -> Float[Tensor, "*batch N 3"] | None:
    """Return the solution of a linear system with a tangent that is not assembled, None if that takes long.

    Products with it are vector-Jacobian products of the residual.

    Args:
        problem: whose tangent it is.
        positions: where.
        right: the right-hand side.
        inverse: of a tangent that is not far from it, by which conjugate gradients are preconditioned.
        tolerance: of the residual relative to the right-hand side.
    """
    multiply = _tangent_products(problem, positions)
    found = conjugate_gradients(
        multiply, flattened(right), inverse, tolerance=tolerance, max_iterations=_MOST_ITERATIONS
    )
    solved = bool((found.residual <= 10 * tolerance).all())
    return found.vectors.view_as(right) if solved else None


def _tangent_products(problem: IncrementalPotential, positions: Tensor) -> Product:
    """Return the products `(B, N, 3) -> (B, N, 3)` with the tangent, the identity where nothing is free."""
    free = problem.step.free
    with torch.enable_grad():
        places = positions.detach().requires_grad_()
        gradient = problem.residual(places).gradient

    def multiply(vectors: Tensor) -> Tensor:
        along = vectors.view_as(positions)
        (product,) = torch.autograd.grad(gradient, places, along, retain_graph=True)
        return flattened(torch.where(free > 0, product, along))

    return multiply
