"""The interface of a problem whose minimum Newton's method finds."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.solvers.block_matrix import BlockMatrix
from simlayer.solvers.conjugate_gradients import Product


class Tangent(NamedTuple):
    """The Hessian of a problem: a matrix, and products with what could not be assembled, None if all was."""

    matrix: BlockMatrix
    others: Product | None

    def multiplication(self) -> Product:
        """Return products `(B, N, 3) -> (B, N, 3)`."""
        multiply, others = self.matrix.multiplication(), self.others
        return multiply if others is None else lambda vectors: multiply(vectors) + others(vectors)

    def double(self) -> Tangent:
        """Return the tangent in double precision, but for products that were not assembled."""
        values, others = self.matrix.values, self.others
        matrix = self.matrix._replace(values=values.double())
        if others is None:
            return Tangent(matrix, None)
        return Tangent(matrix, lambda vectors: others(vectors.to(values)).double())


class Residual(NamedTuple):
    """The gradient of a problem [N], zero for fixed components, and the size of the forces that balance."""

    gradient: Float[Tensor, "*batch N 3"]
    scale: Float[Tensor, "*batch"]

    def error(self) -> Float[Tensor, "*batch"]:
        """Return the largest component of the gradient relative to the forces that balance."""
        size = largest(self.gradient)
        return size / self.scale.clamp(min=torch.finfo(size.dtype).tiny)


class MinimizationProblem(ABC):
    """A function of positions of which a minimum is sought, sample by sample.

    Attributes:
        max_displacement: how many of its own sizes a body may move in the search.
    """

    max_displacement: float = math.inf

    @abstractmethod
    def value(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        """Return the function [J]."""

    @abstractmethod
    def residual(self, positions: Float[Tensor, "*batch N 3"]) -> Residual:
        """Return the gradient of the function, and the size of the forces that it is the sum of."""

    def evaluate(self, positions: Float[Tensor, "*batch N 3"]) -> tuple[Float[Tensor, "*batch"], Residual]:
        """Return the function and its residual, of which much may be computed once for both."""
        return self.value(positions), self.residual(positions)

    @abstractmethod
    def tangent(self, positions: Float[Tensor, "*batch N 3"], *, projected: bool) -> Tangent:
        """Return the Hessian of the function, positive semi-definite if projected."""

    def feasible_fraction(
        self, positions: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch"]:
        """Return the fraction of a move, at most 1, that stays where the function is finite."""
        return positions.new_ones(positions.shape[:-2])

    def not_finite(self, positions: Float[Tensor, "*batch N 3"]) -> str:
        """Return what is not finite at positions where the function or its gradient is not."""
        return "the energy or its gradient"

    def drift(self, gradient: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        """Return how far a free body as a whole is from where a gradient that is left would move it."""
        return gradient.new_zeros(gradient.shape[:-2])

    def describe(self, positions: Float[Tensor, "*batch N 3"], sample: tuple[int, ...]) -> str:
        """Return what may explain a failure at the positions of a sample."""
        return ""


def flattened(vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "B N 3"]:
    """Return all samples in a row."""
    return vectors.reshape(-1, *vectors.shape[-2:])


def largest(vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
    """Return the largest component in each sample."""
    return vectors.abs().amax((-1, -2)) if vectors.shape[-2] else torch.zeros(vectors.shape[:-2])
