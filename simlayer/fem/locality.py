"""Another order of cells and vertices, in which compiled steps find neighbours close in memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from simlayer.fem.gather import Gather
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.ordering import cell_order, inverse_order, is_local, vertex_order

# On fewer cells a step is as fast in any order: what it gathers from is in the cache.
LOCAL_FROM = 20_000


class Order(NamedTuple):
    """A permutation: the old index of each new place, and the new place of each old index."""

    old: Int[Tensor, "K"]
    new: Int[Tensor, "K"]


class LocalOrder(nn.Module):
    """The cells of a mesh in another order, with vertices renumbered by reverse Cuthill-McKee.

    Args:
        gather: of the cells in their own order.
        gradients, weights: of the shape functions in these, with cells on the last axis.
    """

    vertices: Tensor
    vertex_places: Tensor
    cells: Tensor
    cell_places: Tensor
    gradients: Tensor
    weights: Tensor

    def __init__(self, gather: Gather, gradients: Tensor, weights: Tensor) -> None:
        super().__init__()
        connectivity, count = gather.cells.T, gather.num_vertices
        vertices = vertex_order(connectivity, count)
        places = inverse_order(vertices, count)
        cells = cell_order(places[connectivity])
        self.gather = Gather(places[connectivity[cells]], count, deterministic=gather.table is not None)
        buffers = {
            "vertices": vertices,
            "vertex_places": places,
            "cells": cells,
            "cell_places": inverse_order(cells, len(cells)),
            "gradients": gradients[..., cells].contiguous(),
            "weights": weights[..., cells].contiguous(),
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer, persistent=False)

    @property
    def vertex_order(self) -> Order:
        """The order of the vertices."""
        return Order(self.vertices, self.vertex_places)

    def over_cells(self, value: Float[Tensor, "*cells_and_batch"]) -> Float[Tensor, "*cells_and_batch"]:
        """Return a quantity `()` or `(M or 1, *batch)` in the order of the cells here."""
        if value.ndim == 0 or len(value) == 1:
            return value
        return _Permuted.apply(value, self.cells, self.cell_places)


def local_order(mesh: Mesh, gather: Gather, gradients: Tensor, weights: Tensor) -> LocalOrder | None:
    """Return the cells in another order where that makes a step faster."""
    if len(mesh.cells) < LOCAL_FROM or is_local(mesh.cells, len(mesh.vertices)):
        return None
    return LocalOrder(gather, gradients, weights)


class _Permuted(torch.autograd.Function):
    """The values in another order, whose gradient is gathered too: an indexed addition would be slow."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, old: Tensor, new: Tensor) -> Tensor:
        return value.index_select(0, old)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:])
        ctx.save_for_forward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        old, new = ctx.saved_tensors
        return _Permuted.apply(gradient, new, old), None, None

    @staticmethod
    def jvp(ctx: Any, value: Tensor, *_: None) -> Tensor:
        return _Permuted.apply(value, *ctx.saved_tensors)
