"""Searches among points and vertices, whose results are constants to all derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

# Maps points and vertices, in double precision on the CPU, to tensors whose shapes depend on theirs only.
Search = Callable[[Tensor, Tensor], tuple[Tensor, ...]]


def constant_search(
    search: Search, points: Float[Tensor, "*#batch K 3"], positions: Float[Tensor, "*#batch N 3"]
) -> tuple[Tensor, ...]:
    """Return what a search finds for each set of points and positions of a batch, without derivatives.

    Floating-point results have the dtype of the positions.
    """
    return _Search.apply(search, points, positions)


class _Search(torch.autograd.Function):
    """A search as an autograd function, because inside transforms, such as `parameter_jacobian`, it could not
    read the values of tensors.
    """

    @staticmethod
    def forward(search: Search, points: Tensor, positions: Tensor) -> tuple[Tensor, ...]:
        batch = torch.broadcast_shapes(points.shape[:-2], positions.shape[:-2])
        sets = (x.expand(*batch, *x.shape[-2:]).reshape(-1, *x.shape[-2:]) for x in (points, positions))
        rows = [search(p.double().cpu(), x.double().cpu()) for p, x in zip(*sets, strict=True)]
        found = (torch.stack(column).to(positions.device) for column in zip(*rows, strict=True))
        return tuple(
            (part.to(positions) if part.is_floating_point() else part).view((*batch, *part.shape[1:]))
            for part in found
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output)
        ctx.count = len(output)

    @staticmethod
    def backward(ctx: Any, *_: Any) -> tuple[None, None, None]:
        return None, None, None

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> tuple[None, ...]:
        return (None,) * ctx.count

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], search: Search, *inputs: Tensor) -> tuple[Any, Any]:
        points, positions = (
            x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
            for x, dim in zip(inputs, in_dims[1:], strict=True)
        )
        found = _Search.apply(search, points, positions)
        return found, (0,) * len(found)
