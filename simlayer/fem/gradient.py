"""The discrete gradient of a vector field on vertices, in each cell, and its adjoint."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.fem.gradient_kernels import GradientKernels, ShapeGradients
from simlayer.linalg.matrix3 import Matrix3


class GradientOperator(NamedTuple):
    """A linear map from vectors on vertices to a matrix in every cell: the gradient times a weight."""

    shape: ShapeGradients
    kernels: GradientKernels

    def gradient(self, vectors: Float[Tensor, "*batch N 3"]) -> Matrix3:
        """Return the weighted gradient of vectors in every cell."""
        return Matrix3(*(_Gradient.apply if self._is_node else _Gradient.forward)(self, vectors))

    def divergence(self, field: Matrix3) -> Float[Tensor, "*batch N 3"]:
        """Return the adjoint of the map for a matrix in every cell."""
        return (_Divergence.apply if self._is_node else _Divergence.forward)(self, *field)

    @property
    def _is_node(self) -> bool:
        """Whether the map is one node of the autograd graph, which knows no derivatives by the rest shape.

        Where nothing is recorded, a node would only cost time.
        """
        return torch.is_grad_enabled() and not self.shape.varies


class _Gradient(torch.autograd.Function):
    """The map as one node of the autograd graph, because its derivative is its adjoint."""

    generate_vmap_rule = True

    @staticmethod
    def forward(operator: GradientOperator, vectors: Tensor) -> tuple[Tensor, ...]:
        return operator.kernels.gradient(operator.shape, vectors.movedim((-1, -2), (0, 1)))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.operator = inputs[0]

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[None, Tensor]:
        return None, ctx.operator.divergence(Matrix3(*cotangents))

    @staticmethod
    def jvp(ctx: Any, _: None, direction: Tensor) -> tuple[Tensor, ...]:
        return ctx.operator.gradient(direction)


class _Divergence(torch.autograd.Function):
    """The adjoint as one node of the autograd graph, whose derivative is the map."""

    generate_vmap_rule = True

    @staticmethod
    def forward(operator: GradientOperator, *field: Tensor) -> Tensor:
        return operator.kernels.divergence(operator.shape, field).movedim((0, 1), (-1, -2))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.operator = inputs[0]

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        return None, *ctx.operator.gradient(cotangent)

    @staticmethod
    def jvp(ctx: Any, _: None, *direction: Tensor) -> Tensor:
        return ctx.operator.divergence(Matrix3(*direction))
