"""Gathering vertex values to the nodes of cells, and its adjoint: summing node values to vertices."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class Gather(nn.Module):
    """The indices by which vertex values are gathered to cells and node values summed to vertices.

    Args:
        cells: vertex indices of each cell's nodes.
        num_vertices: how many vertices there are.
        deterministic: sum through a padded table of the nodes at each vertex, which is bitwise
            repeatable and scales with threads, instead of by indexed addition, which is faster on one
            thread. By default, whether torch uses more than one thread now.
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
        nodes = cells.T.contiguous()
        self.register_buffer("cells", nodes, persistent=False)
        table = _incidence_table(nodes, num_vertices) if deterministic else None
        self.register_buffer("table", table, persistent=False)

    @property
    def nodes(self) -> CellNodes:
        """The indices that this module holds now, as a value."""
        return CellNodes(self.cells, self.table, self.num_vertices)


class CellNodes(NamedTuple):
    """The vertices of the cells, `(C, M)`, and the table if sums go through one; for K fields at once.

    Either all nodes of a cell share a tensor, or each node has its own: a compiler then gathers where values
    are used, and sums where they are computed, which it does not where one sum waits for another.
    """

    cells: Tensor
    table: Tensor | None
    num_vertices: int

    def gather(self, values: Float[Tensor, "K N *batch"]) -> Float[Tensor, "K C M *batch"]:
        """Return the values at the nodes of the cells."""
        if self.table is None:
            return values.index_select(1, self.cells.flatten()).unflatten(1, self.cells.shape)
        return _Gather.apply(values, self.cells, self.table)

    def gather_each(self, values: Float[Tensor, "K N *batch"]) -> Sequence[Float[Tensor, "K M *batch"]]:
        """Return the values at the first node of all cells, at the second, and so on."""
        if self.table is not None:
            return self.gather(values).unbind(1)
        return [values.index_select(1, index) for index in self.cells.unbind()]

    def sum_to_vertices(self, values: Float[Tensor, "K C M *batch"]) -> Float[Tensor, "K N *batch"]:
        """Return the sum over all nodes that meet at each vertex."""
        if self.table is not None:
            return _Sum.apply(values, self.cells, self.table)
        zeros = values.new_zeros((len(values), self.num_vertices, *values.shape[3:]))
        return zeros.index_add_(1, self.cells.flatten(), values.flatten(1, 2))

    def sum_each_to_vertices(
        self, values: Sequence[Float[Tensor, "K M *batch"]]
    ) -> Float[Tensor, "K N *batch"]:
        """Return the sum over vertices of values at the first node of all cells, at the second, and so on."""
        if self.table is not None:
            return self.sum_to_vertices(torch.stack(list(values), 1))
        zeros = values[0].new_zeros((len(values[0]), self.num_vertices, *values[0].shape[2:]))
        parts = [zeros.index_add(1, *pair) for pair in zip(self.cells.unbind(), values, strict=True)]
        return functools.reduce(torch.add, parts)


def _incidence_table(nodes: Int[Tensor, "C M"], num_vertices: int) -> Int[Tensor, "N V"]:
    """For each vertex the positions of its nodes in the flattened list, padded with one past the end."""
    flat = nodes.flatten()
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
    """Gather to nodes, whose adjoint is the sum through the table instead of an indexed addition."""

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
    """Sum of nodes through the table, whose adjoint is the gather."""

    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, cells: Tensor, table: Tensor) -> Tensor:
        flat = values.flatten(1, 2)
        padded = torch.cat([flat, flat.new_zeros((len(flat), 1, *flat.shape[2:]))], 1)
        return padded[:, table].sum(2)

    setup_context = staticmethod(_keep_indices)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Gather.apply(gradient, *ctx.saved_tensors), None, None

    @staticmethod
    def jvp(ctx: Any, values: Tensor, *_: None) -> Tensor:
        return _Sum.apply(values, *ctx.saved_tensors)
