"""Two ways to compute the discrete gradient and its adjoint: in few operators, or laid out for a compiler.

Both work with differences to node 0: in float32 they are exact to 6e-7 where positions themselves give 1e-5.
In the adjoint node 0 takes minus the sum of the others, so that all add up to zero, to rounding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from simlayer.fem.fields import over_batch
from simlayer.fem.gather import CellNodes
from simlayer.fem.locality import Order


class ShapeGradients(NamedTuple):
    """Gradients of the shape functions of C nodes in M cells, with an axis Q for several quadrature points.

    Attributes:
        nodes: the vertices of the cells.
        gradients: of all nodes but the first, `(C - 1, 3, Q?, M)`, and a batch where rest shapes differ.
        weights: `(Q?, M)`, which multiply the gradients, and a batch as these have; None for one.
        order: the order of the vertices that `nodes` count in, if it is another one than that of the vectors.
        has_points: whether cells have several quadrature points.
        varies: whether gradients and weights may have derivatives, or differ from sample to sample.
    """

    nodes: CellNodes
    gradients: Tensor
    weights: Tensor | None
    order: Order | None = None
    has_points: bool = False
    varies: bool = False

    def over_batch(self, batch_axes: int) -> tuple[Tensor, Tensor | None]:
        """Gradients and weights that broadcast over the batch."""
        own = 1 + self.has_points
        weights = None if self.weights is None else over_batch(self.weights, own, batch_axes)
        return over_batch(self.gradients, 2 + own, batch_axes), weights


class GradientKernels(ABC):
    """A way to compute the gradient and its adjoint; fields over cells are `(Q?, M, *batch)`.

    Attributes:
        reorders: whether it is faster with another order of cells and vertices, if there is one.
    """

    reorders: ClassVar[bool] = False

    @abstractmethod
    def gradient(self, shape: ShapeGradients, vectors: Tensor) -> tuple[Tensor, ...]:
        """Return a matrix in each cell, nine fields by rows, of vectors `(3, N, *batch)`."""

    @abstractmethod
    def divergence(self, shape: ShapeGradients, field: Sequence[Tensor]) -> Tensor:
        """Return vectors `(3, N, *batch)` of a matrix in each cell, nine fields by rows."""


class EagerKernels(GradientKernels):
    """Few operators: on a small mesh, an uncompiled step takes as long as its operators are many.

    The components of all vectors share a tensor, and so do the nodes of a cell, except where each has several
    quadrature points: such a tensor would be large.
    """

    def gradient(self, shape: ShapeGradients, vectors: Tensor) -> tuple[Tensor, ...]:
        dN, weights = shape.over_batch(vectors.ndim - 2)
        values = shape.nodes.gather(vectors)
        edges = values[:, 1:] - values[:, :1]
        if shape.has_points:
            return _rows(edges.unsqueeze(2).unbind(1), dN, weights)
        matrix = _sum_of_products(_weighted(edges, weights).unsqueeze(2).unbind(1), dN.unbind())
        return matrix.flatten(0, 1).unbind()

    def divergence(self, shape: ShapeGradients, field: Sequence[Tensor]) -> Tensor:
        if shape.has_points:
            return shape.nodes.sum_to_vertices(torch.stack(_at_nodes(shape, field), 1))
        dN, weights = shape.over_batch(field[0].ndim - 1)
        matrix = _weighted(torch.stack(list(field)), weights).unflatten(0, (3, 1, 3))
        forces = _sum_of_products(matrix.unbind(2), dN.unbind(1))
        return shape.nodes.sum_to_vertices(torch.cat([-forces.sum(1, keepdim=True), forces], 1))


class CompilerKernels(GradientKernels):
    """A tensor for each component at each node: a compiler fuses them with what is between the two maps."""

    reorders = True

    def gradient(self, shape: ShapeGradients, vectors: Tensor) -> tuple[Tensor, ...]:
        dN, weights = shape.over_batch(vectors.ndim - 2)
        if shape.order:
            vectors = vectors.index_select(1, shape.order.old)
        rows: tuple[Tensor, ...] = ()
        for component in vectors.split(1):
            origin, *others = shape.nodes.gather_each(component)
            edges = [node - origin for node in others]
            rows += _rows([edge[:, None] for edge in edges] if shape.has_points else edges, dN, weights)
        return rows

    def divergence(self, shape: ShapeGradients, field: Sequence[Tensor]) -> Tensor:
        rows = (field[first : first + 3] for first in range(0, 9, 3))
        vectors = torch.cat([shape.nodes.sum_each_to_vertices(_at_nodes(shape, row)) for row in rows])
        return vectors.index_select(1, shape.order.new) if shape.order else vectors


def _weighted(field: Tensor, weights: Tensor | None) -> Tensor:
    return field if weights is None else field * weights


def _rows(edges: Sequence[Tensor], dN: Tensor, weights: Tensor | None) -> tuple[Tensor, ...]:
    """The gradient by rows, one for each of the components that share the tensors of edges."""
    columns = [_weighted(_sum_of_products(edges, dN[:, j].unbind()), weights) for j in range(3)]
    return tuple(entry for row in zip(*(column.unbind() for column in columns), strict=True) for entry in row)


def _at_nodes(shape: ShapeGradients, field: Sequence[Tensor]) -> list[Tensor]:
    """The adjoint at each node, for the components whose rows `field` has."""
    dN, weights = shape.over_batch(field[0].ndim - 1 - shape.has_points)
    columns = [_weighted(torch.stack(list(field[j::3])), weights) for j in range(3)]
    others = [_sum_of_products(columns, gradient.unbind()) for gradient in dN]
    if shape.has_points:
        others = [value.sum(1) for value in others]
    return [-sum(others[1:], others[0]), *others]


def _sum_of_products(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    total = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        total = torch.addcmul(total, x, y)
    return total
