"""The gradient of a vector field on vertices in each cell, and its adjoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.autodiff.tracing import is_tracing
from simlayer.fem import gradient_stacked as stacked_stencil
from simlayer.fem.gather import Corners
from simlayer.linalg.matrix3 import Matrix3


class Stencil(NamedTuple):
    """A linear map from vectors on vertices to a matrix in every cell: the gradient times a weight.

    Attributes:
        corners: the vertices of the cells.
        gradients: of the shape functions of all corners but the first, `(C - 1, 3, Q?, M)`.
        weights: `(Q?, M)`, or None for one.
    """

    corners: Corners
    gradients: Tensor
    weights: Tensor | None = None

    @property
    def has_points(self) -> bool:
        """Whether there is an axis Q."""
        return self.gradients.ndim == 4

    @property
    def is_stacked(self) -> bool:
        """Whether few operators matter, and the axis Q does not make large tensors of them."""
        return not (self.has_points or is_tracing())

    def weights_over(self, batch_axes: int) -> Tensor | None:
        return None if self.weights is None else over_batch(self.weights, batch_axes)

    def weighted(self, field: Tensor, batch_axes: int) -> Tensor:
        return field if self.weights is None else field * over_batch(self.weights, batch_axes)

    def gradient(self, vectors: Float[Tensor, "*batch N 3"]) -> Matrix3:
        """The map."""
        # Where nothing is recorded, a node would only cost time.
        run = _Gradient.apply if torch.is_grad_enabled() else _Gradient.forward
        return Matrix3(*run(self, vectors))

    def divergence(self, field: Matrix3) -> Float[Tensor, "*batch N 3"]:
        """Its adjoint."""
        run = _Divergence.apply if torch.is_grad_enabled() else _Divergence.forward
        return run(self, *field)


class _Gradient(torch.autograd.Function):
    """The map as one node of the autograd graph, because its derivative is its adjoint."""

    generate_vmap_rule = True

    @staticmethod
    def forward(stencil: Stencil, vectors: Tensor) -> tuple[Tensor, ...]:
        nb = vectors.ndim - 2
        dN = over_batch(stencil.gradients, nb)
        if stencil.is_stacked:
            packed = vectors.movedim((-1, -2), (0, 1))
            return stacked_stencil.gradient(stencil.corners, dN, stencil.weights_over(nb), packed)
        rows: list[tuple[Tensor, ...]] = []
        for part in vectors.movedim((-1, -2), (0, 1)).split(_at_a_time()):
            # Differences to corner 0 are exact to 6e-7 in float32 where positions themselves give 1e-5.
            origin, *others = stencil.corners.gather(part)
            edges = [corner - origin for corner in others]
            if stencil.has_points:
                edges = [edge[:, None] for edge in edges]
            columns = [stencil.weighted(_dot(edges, dN[:, j].unbind()), nb) for j in range(3)]
            rows += zip(*(column.unbind() for column in columns), strict=True)
        return sum(rows, ())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.stencil = inputs[0]

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[None, Tensor]:
        return None, ctx.stencil.divergence(Matrix3(*cotangents))

    @staticmethod
    def jvp(ctx: Any, _: None, direction: Tensor) -> tuple[Tensor, ...]:
        return ctx.stencil.gradient(direction)


class _Divergence(torch.autograd.Function):
    """The adjoint likewise."""

    generate_vmap_rule = True

    @staticmethod
    def forward(stencil: Stencil, *field: Tensor) -> Tensor:
        nb = field[0].ndim - stencil.gradients.ndim + 2
        dN = over_batch(stencil.gradients, nb)
        if stencil.is_stacked:
            packed = stacked_stencil.divergence(stencil.corners, dN, stencil.weights_over(nb), field)
            return packed.movedim((0, 1), (-1, -2))
        parts, count = [], _at_a_time()
        for first in range(0, 3, count):
            columns = [torch.stack(field[j::3][first : first + count]) for j in range(3)]
            columns = [stencil.weighted(column, nb) for column in columns]
            corners = [_dot(columns, gradient.unbind()) for gradient in dN]
            if stencil.has_points:
                corners = [corner.sum(1) for corner in corners]
            # Corner 0 takes minus the sum of the others, so that all add up to zero, to rounding.
            corners.insert(0, -sum(corners[1:], corners[0]))
            parts.append(stencil.corners.sum_to_vertices(corners, separately=is_tracing()))
        return torch.cat(parts).movedim((0, 1), (-1, -2))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.stencil = inputs[0]

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        return None, *ctx.stencil.gradient(cotangent)

    @staticmethod
    def jvp(ctx: Any, _: None, *direction: Tensor) -> Tensor:
        return ctx.stencil.divergence(Matrix3(*direction))


def over_batch(field: Tensor, batch_axes: int) -> Tensor:
    """The field with trailing axes of size one, so that it broadcasts over the batch."""
    return field[(..., *[None] * batch_axes)] if batch_axes else field


def _at_a_time() -> int:
    """How many of the three components of a vector share a tensor.

    All, so that operators are few, unless a compiler is to fuse them: then each has its own.
    """
    return 1 if is_tracing() else 3


def _dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    total = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        total = torch.addcmul(total, x, y)
    return total
