"""The discrete gradient and its adjoint as sparse matrices: the fastest way without a compiler."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from simlayer.autodiff.torch_private import modes_active, transforms_active
from simlayer.fem.fields import over_batch
from simlayer.fem.gradient_kernels import EagerKernels, ShapeGradients

# Entries of a matrix up to which it is stored: 100 MB.
_LARGEST = 2**23


class _Matrices(NamedTuple):
    """The gradient, with rows by column of F, point and cell; its transpose; what both are made of."""

    gradient: Tensor
    transpose: Tensor
    made_of: Tensor


class SparseKernels(EagerKernels):
    """One product with a sparse matrix, in double precision on the CPU; elsewhere as its base class.

    Made at the first use. Positions are taken relative to those of the first vertex: what differences to each
    cell's own node would save beyond that are a few units of rounding, which double precision can spare.
    """

    def __init__(self) -> None:
        self._made: _Matrices | None = None

    def gradient(self, shape: ShapeGradients, vectors: Tensor) -> tuple[Tensor, ...]:
        if not _applies(shape, vectors):
            return super().gradient(shape, vectors)
        batch, points = vectors.shape[2:], shape.gradients.shape[2:]
        columns = (vectors - vectors[:, :1]).transpose(0, 1).reshape(vectors.shape[1], -1)
        rows = (self._matrices(shape, vectors.shape[1]).gradient @ columns).view(3, *points, 3, *batch)
        matrix = rows.movedim(1 + len(points), 0).contiguous()
        _, weights = shape.over_batch(len(batch))
        return (matrix if weights is None else matrix * weights).flatten(0, 1).unbind()

    def divergence(self, shape: ShapeGradients, field: Sequence[Tensor]) -> Tensor:
        if not _applies(shape, field[0]):
            return super().divergence(shape, field)
        points, count = shape.gradients.shape[2:], shape.nodes.num_vertices
        batch = field[0].shape[len(points) :]
        matrix = torch.stack(list(field))
        if shape.weights is not None:
            matrix = matrix * over_batch(shape.weights, 1 + shape.has_points, len(batch))
        columns = matrix.unflatten(0, (3, 3)).movedim(0, 1 + len(points)).reshape(3 * math.prod(points), -1)
        vectors = self._matrices(shape, count).transpose @ columns
        return vectors.view(count, 3, *batch).transpose(0, 1)

    def _matrices(self, shape: ShapeGradients, count: int) -> _Matrices:
        if self._made is None or self._made.made_of is not shape.gradients:
            self._made = _matrices(shape, count)
        return self._made

    def __getstate__(self) -> dict[str, Any]:
        return {"_made": None}


def _applies(shape: ShapeGradients, tensor: Tensor) -> bool:
    """Return whether these are numbers for which a matrix is fastest, and nothing looks at the operators."""
    gradients = shape.gradients
    return (
        tensor.dtype == gradients.dtype == torch.float64
        and tensor.device.type == "cpu"
        and not shape.varies
        and gradients.numel() <= _LARGEST
        and torch.backends.mkl.is_available()
        and not transforms_active()
        and not modes_active()
    )


def _matrices(shape: ShapeGradients, count: int) -> _Matrices:
    gradients = shape.gradients.detach()
    whole = torch.cat([-gradients.sum(0, keepdim=True), gradients]).movedim(0, -1)  # (3, Q?, M, C)
    cells = shape.nodes.cells.T.expand(whole.shape)
    values, columns = whole.flatten(0, -2), cells.flatten(0, -2)
    columns, order = columns.sort(-1)
    values = values.gather(-1, order)
    rows = torch.arange(len(values)).repeat_interleave(values.shape[-1])
    back = columns.flatten().argsort(stable=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse")
        return _Matrices(
            _csr(columns.flatten(), values.flatten(), rows, (len(values), count)),
            _csr(rows[back], values.flatten()[back], columns.flatten()[back], (count, len(values))),
            shape.gradients,
        )


def _csr(columns: Tensor, values: Tensor, rows: Tensor, size: tuple[int, int]) -> Tensor:
    starts = torch.cat([rows.new_zeros(1), rows.bincount(minlength=size[0]).cumsum(0)])
    return torch.sparse_csr_tensor(starts.int(), columns.int(), values, size, check_invariants=False)
