"""Which vertices belong to which cells: gather to the cells' corners, and its adjoint, sum to vertices."""

from __future__ import annotations

from typing import Any

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

    def gather(self, values: Float[Tensor, "N *batch"]) -> list[Float[Tensor, "M *batch"]]:
        """The values at each corner of the cells."""
        if self.table is None:
            return [values[index] for index in self.cells]
        return list(_Gather.apply(values, self.cells, self.table))

    def sum_to_vertices(self, corners: list[Float[Tensor, "M *batch"]]) -> Float[Tensor, "N *batch"]:
        """The sum over all corners that meet at each vertex."""
        if self.table is None:
            total = corners[0].new_zeros((self.num_vertices, *corners[0].shape[1:]))
            for index, values in zip(self.cells, corners, strict=True):
                total = total.index_add(0, index, values)
            return total
        return _Sum.apply(torch.stack(corners), self.cells, self.table)


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
        return values[cells]

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
        flat = corners.flatten(0, 1)
        padded = torch.cat([flat, flat.new_zeros((1, *flat.shape[1:]))])
        return padded[table].sum(1)

    setup_context = staticmethod(_keep_indices)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Gather.apply(gradient, *ctx.saved_tensors), None, None

    @staticmethod
    def jvp(ctx: Any, corners: Tensor, *_: None) -> Tensor:
        return _Sum.apply(corners, *ctx.saved_tensors)
