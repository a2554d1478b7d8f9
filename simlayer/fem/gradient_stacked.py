"""The stencil's two maps in few operators, for one quadrature point and no compiler.

On a small mesh an uncompiled step takes as long as its operators are many: here all components and all
corners of a cell share a tensor. A compiler would not fuse such tensors with the law between the two maps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from simlayer.fem.gather import Corners


def gradient(corners: Corners, dN: Tensor, weights: Tensor | None, vectors: Tensor) -> tuple[Tensor, ...]:
    """Nine fields, row by row.

    Args:
        corners: the vertices of the cells.
        dN: gradients of the shape functions of all corners but the first, `(C - 1, 3, M, *batch)`.
        weights: `(M, *batch)`, or None for one.
        vectors: `(3, N, *batch)`.
    """
    values = corners.gather_stacked(vectors)
    edges = values[:, 1:] - values[:, :1]
    if weights is not None:
        edges = edges * weights
    matrix = _sum_of_products(edges.unsqueeze(2).unbind(1), dN.unbind())
    return matrix.flatten(0, 1).unbind()


def divergence(corners: Corners, dN: Tensor, weights: Tensor | None, field: tuple[Tensor, ...]) -> Tensor:
    """The adjoint, `(3, N, *batch)`."""
    matrix = torch.stack(field)
    if weights is not None:
        matrix = matrix * weights
    matrix = matrix.unflatten(0, (3, 1, 3))
    forces = _sum_of_products(matrix.unbind(2), dN.unbind(1))
    # Corner 0 takes minus the sum of the others, so that all add up to zero, to rounding.
    return corners.sum_stacked(torch.cat([-forces.sum(1, keepdim=True), forces], 1))


def _sum_of_products(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> Tensor:
    total = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        total = torch.addcmul(total, x, y)
    return total
