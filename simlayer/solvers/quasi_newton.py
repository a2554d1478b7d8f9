"""Search directions from the inverse of an earlier Hessian and the changes of the gradient since."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.solvers.conjugate_gradients import Product

# The cosine between a move and the change of the gradient below which their pair says nothing of curvature.
_FLAT = 1e-8


class InverseUpdates:
    """The inverse of a Hessian, updated by the moves and changes of the gradient since it was computed.

    Each update makes the product with the last change of the gradient the last move (BFGS), in the two-loop
    recursion (Nocedal 1980), so that directions converge faster than linearly without another Hessian.
    Samples are independent; a pair without positive curvature is left out in its sample.

    Args:
        inverse: products `(B, N, 3) -> (B, N, 3)` with the symmetric positive inverse to begin with.
    """

    def __init__(self, inverse: Product) -> None:
        self.inverse = inverse
        self._pairs: list[tuple[Tensor, Tensor, Tensor]] = []

    def update(self, move: Float[Tensor, "B N 3"], change: Float[Tensor, "B N 3"]) -> None:
        """Take up a move and the change of the gradient along it."""
        curvature = _dot(move, change)
        length = (_dot(move, move) * _dot(change, change)).sqrt()
        weight = torch.where(curvature > _FLAT * length, 1 / curvature, 0.0)
        self._pairs.append((move, change, weight))

    def __call__(self, vectors: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N 3"]:
        """Return the product with the updated inverse."""
        shares = []
        for move, change, weight in reversed(self._pairs):
            share = weight * _dot(move, vectors)
            vectors = vectors - share[:, None, None] * change
            shares.append(share)
        result = self.inverse(vectors)
        for (move, change, weight), share in zip(self._pairs, reversed(shares), strict=True):
            result = result + (share - weight * _dot(change, result))[:, None, None] * move
        return result


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((-1, -2))
