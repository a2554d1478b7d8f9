"""Two ways to compute the discrete gradient and its adjoint: in few operators, or laid out for a compiler.

Both work with differences to node 0: in float32 they are exact to 6e-7 where positions themselves give 1e-5.
In the adjoint node 0 takes minus the sum of the others, so that all add up to zero, to rounding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from simlayer.fem.fields import over_batch
from simlayer.fem.gather import CellNodes


class GradientKernels(ABC):
    """A way to compute the gradient and its adjoint, for C nodes of each of M cells.

    Arguments of both, with an axis Q if cells have several quadrature points:
        nodes: the vertices of the cells.
        gradients: of the shape functions of all nodes but the first, `(C - 1, 3, Q?, M)`.
        weights: `(Q?, M)`, or None for one.
    Fields over cells are `(Q?, M, *batch)`.
    """

    @abstractmethod
    def gradient(
        self, nodes: CellNodes, gradients: Tensor, weights: Tensor | None, vectors: Tensor
    ) -> tuple[Tensor, ...]:
        """Return a matrix in each cell, nine fields by rows, of vectors `(3, N, *batch)`."""

    @abstractmethod
    def divergence(
        self, nodes: CellNodes, gradients: Tensor, weights: Tensor | None, field: Sequence[Tensor]
    ) -> Tensor:
        """Return vectors `(3, N, *batch)` of a matrix in each cell, nine fields by rows."""


class EagerKernels(GradientKernels):
    """Few operators: on a small mesh, an uncompiled step takes as long as its operators are many.

    The components of all vectors share a tensor, and so do the nodes of a cell, but where each has several
    quadrature points: such a tensor would be large.
    """

    def gradient(
        self, nodes: CellNodes, gradients: Tensor, weights: Tensor | None, vectors: Tensor
    ) -> tuple[Tensor, ...]:
        dN, weights = _over_batch(gradients, weights, vectors.ndim - 2)
        values = nodes.gather(vectors)
        edges = values[:, 1:] - values[:, :1]
        if gradients.ndim == 4:
            return _rows(edges.unsqueeze(2).unbind(1), dN, weights)
        matrix = _sum_of_products(_weighted(edges, weights).unsqueeze(2).unbind(1), dN.unbind())
        return matrix.flatten(0, 1).unbind()

    def divergence(
        self, nodes: CellNodes, gradients: Tensor, weights: Tensor | None, field: Sequence[Tensor]
    ) -> Tensor:
        dN, weights = _over_batch(gradients, weights, field[0].ndim - gradients.ndim + 2)
        if gradients.ndim == 4:
            values = [value.sum(1) for value in _at_nodes(field, dN, weights)]
            return nodes.sum_to_vertices(torch.stack([_opposite(values), *values], 1))
        matrix = _weighted(torch.stack(list(field)), weights).unflatten(0, (3, 1, 3))
        forces = _sum_of_products(matrix.unbind(2), dN.unbind(1))
        return nodes.sum_to_vertices(torch.cat([-forces.sum(1, keepdim=True), forces], 1))


class CompilerKernels(GradientKernels):
    """A tensor for each component at each node: a compiler fuses them with what is between the two maps."""

    def gradient(
        self, nodes: CellNodes, gradients: Tensor, weights: Tensor | None, vectors: Tensor
    ) -> tuple[Tensor, ...]:
        dN, weights = _over_batch(gradients, weights, vectors.ndim - 2)
        rows: tuple[Tensor, ...] = ()
        for component in vectors.split(1):
            origin, *others = nodes.gather_each(component)
            edges = [node - origin for node in others]
            if gradients.ndim == 4:
                edges = [edge[:, None] for edge in edges]
            rows += _rows(edges, dN, weights)
        return rows

    def divergence(
        self, nodes: CellNodes, gradients: Tensor, weights: Tensor | None, field: Sequence[Tensor]
    ) -> Tensor:
        dN, weights = _over_batch(gradients, weights, field[0].ndim - gradients.ndim + 2)
        components = []
        for first in range(0, 9, 3):
            values = _at_nodes(field[first : first + 3], dN, weights)
            if gradients.ndim == 4:
                values = [value.sum(1) for value in values]
            components.append(nodes.sum_each_to_vertices([_opposite(values), *values]))
        return torch.cat(components)


def _over_batch(gradients: Tensor, weights: Tensor | None, batch_axes: int) -> tuple[Tensor, Tensor | None]:
    return over_batch(gradients, batch_axes), None if weights is None else over_batch(weights, batch_axes)


def _weighted(field: Tensor, weights: Tensor | None) -> Tensor:
    return field if weights is None else field * weights


def _rows(edges: Sequence[Tensor], dN: Tensor, weights: Tensor | None) -> tuple[Tensor, ...]:
    """The gradient by rows, one for each of the components that share the tensors of edges."""
    columns = [_weighted(_sum_of_products(edges, dN[:, j].unbind()), weights) for j in range(3)]
    return tuple(entry for row in zip(*(column.unbind() for column in columns), strict=True) for entry in row)


def _at_nodes(field: Sequence[Tensor], dN: Tensor, weights: Tensor | None) -> list[Tensor]:
    """The adjoint at each node but the first, for the components whose rows `field` has."""
    columns = [_weighted(torch.stack(list(field[j::3])), weights) for j in range(3)]
    return [_sum_of_products(columns, gradient.unbind()) for gradient in dN]


def _opposite(values: Sequence[Tensor]) -> Tensor:
    """What node 0 takes."""
    return -sum(values[1:], values[0])


def _sum_of_products(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    total = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        total = torch.addcmul(total, x, y)
    return total
