"""Which vertices belong to which cells: gather to the cells' corners, and its adjoint, sum to vertices."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class Topology(nn.Module):
    """Gathers vertex values to the corners of cells and sums corner values to vertices.

    Args:
        cells: vertex indices of each cell's corners.
        num_vertices: how many vertices there are.
        deterministic: sum through a padded table of the corners around each vertex, which is bitwise
            repeatable and scales with threads, instead of one indexed addition per corner, which is
            faster on one thread. By default, whether torch uses more than one thread now.
    """

    cells: Tensor
    table: Tensor | None

    def __init__(
        self, cells: Int[Tensor, "M C"], num_vertices: int, *, deterministic: bool | None = None
    ) -> None:
        super().__init__()
        if deterministic is None:
            deterministic = torch.get_num_threads() > 1 or torch.are_deterministic_algorithms_enabled()
        self.num_vertices = num_vertices
        corners = cells.T.contiguous()
        self.register_buffer("cells", corners, persistent=False)
        table = _incidence_table(corners, num_vertices) if deterministic else None
        self.register_buffer("table", table, persistent=False)

    @property
    def corners(self) -> Corners:
        """What this module reads now, as a value."""
        return Corners(self.cells, self.table, self.num_vertices)

    def gather(self, values: Float[Tensor, "N *batch"]) -> list[Float[Tensor, "M *batch"]]:
        """The values at each corner of the cells."""
        return [corner.squeeze(0) for corner in self.corners.gather(values[None])]

    def sum_to_vertices(self, values: Sequence[Float[Tensor, "M *batch"]]) -> Float[Tensor, "N *batch"]:
        """The sum over all corners that meet at each vertex."""
        return self.corners.sum_to_vertices([corner[None] for corner in values]).squeeze(0)


class Corners(NamedTuple):
    """The vertices of the cells, `(C, M)`, and the table if sums go through one; for K fields at once."""

    cells: Tensor
    table: Tensor | None
    num_vertices: int

    def gather(self, values: Float[Tensor, "K N *batch"]) -> Sequence[Float[Tensor, "K M *batch"]]:
        """The values at each corner of the cells."""
        if self.table is None:
            return [values.index_select(1, index) for index in self.cells.unbind()]
        return _Gather.apply(values, self.cells, self.table).unbind(1)

    def gather_stacked(self, values: Float[Tensor, "K N *batch"]) -> Float[Tensor, "K C M *batch"]:
        """The values at the corners in one tensor."""
        if self.table is None:
            return values.index_select(1, self.cells.flatten()).unflatten(1, self.cells.shape)
        return _Gather.apply(values, self.cells, self.table)

    def sum_stacked(self, values: Float[Tensor, "K C M *batch"]) -> Float[Tensor, "K N *batch"]:
        """The sum over all corners that meet at each vertex, of values in one tensor."""
        if self.table is not None:
            return _Sum.apply(values, self.cells, self.table)
        zeros = values.new_zeros((len(values), self.num_vertices, *values.shape[3:]))
        return zeros.index_add_(1, self.cells.flatten(), values.flatten(1, 2))

    def sum_to_vertices(
        self, values: Sequence[Float[Tensor, "K M *batch"]], *, separately: bool = False
    ) -> Float[Tensor, "K N *batch"]:
        """The sum over all corners that meet at each vertex.

        `separately` sums each corner of the cells by itself first. A compiler then does it where the values
        are computed, which it does not where one sum waits for another.
        """
        if self.table is not None:
            return _Sum.apply(torch.stack(list(values), 1), self.cells, self.table)
        first = values[0]
        zeros = first.new_zeros((len(first), self.num_vertices, *first.shape[2:]))
        if separately:
            parts = [zeros.index_add(1, *pair) for pair in zip(self.cells.unbind(), values, strict=True)]
            return functools.reduce(torch.add, parts)
        total = zeros
        for index, corner in zip(self.cells.unbind(), values, strict=True):
            total = total.index_add(1, index, corner)
        return total


def _incidence_table(corners: Int[Tensor, "C M"], num_vertices: int) -> Int[Tensor, "N V"]:
    """For each vertex the positions of its corners in the flattened list, padded with one past the end."""
    flat = corners.flatten()
    order = flat.argsort(stable=True)
    counts = torch.bincount(flat, minlength=num_vertices)
    first = counts.cumsum(0) - counts
    slot = torch.arange(len(flat), device=flat.device) - first[flat[order]]
    table = torch.full((num_vertices, int(counts.max())), len(flat), device=flat.device)
    table[flat[order], slot] = order
    return table


def _keep_indices(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[1:])
    ctx.save_for_forward(*inputs[1:])


class _Gather(torch.autograd.Function):
    """Gather to corners, whose adjoint is the sum through the table instead of an indexed addition."""

    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, cells: Tensor, table: Tensor) -> Tensor:
        return values[:, cells]

    setup_context = staticmethod(_keep_indices)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Sum.apply(gradient, *ctx.saved_tensors), None, None

    @staticmethod
    def jvp(ctx: Any, values: Tensor, *_: None) -> Tensor:
        return _Gather.apply(values, *ctx.saved_tensors)


class _Sum(torch.autograd.Function):
    """Sum of corners through the table, whose adjoint is the gather."""

    generate_vmap_rule = True

    @staticmethod
    def forward(corners: Tensor, cells: Tensor, table: Tensor) -> Tensor:
        flat = corners.flatten(1, 2)
        padded = torch.cat([flat, flat.new_zeros((len(flat), 1, *flat.shape[2:]))], 1)
        return padded[:, table].sum(2)

    setup_context = staticmethod(_keep_indices)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Gather.apply(gradient, *ctx.saved_tensors), None, None

    @staticmethod
    def jvp(ctx: Any, corners: Tensor, *_: None) -> Tensor:
        return _Sum.apply(corners, *ctx.saved_tensors)
