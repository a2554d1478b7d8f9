"""Forward mode through functions that carry their derivatives themselves.

`torch.func.jvp`, `torch.func.jacfwd` and `torch.autograd.forward_ad` run a function operator by operator.
What is compiled, or solved by iterations, is instead handed its arguments and their derivatives along all
directions at once, as plain tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor

from simlayer.autodiff.torch_private import forward_mode_alone

# Maps arguments, and their derivatives along P directions `(P, ...)`, None for zero, to results and theirs.
WithTangents = Callable[
    [Sequence[Tensor], Sequence[Tensor | None]], tuple[Sequence[Tensor], Sequence[Tensor]]
]


def carries_tangents(tensors: Sequence[Tensor]) -> bool:
    """Return whether any tensor has a derivative in forward mode, and no other mode is in use."""
    if not forward_mode_alone() or (torch.is_grad_enabled() and any(t.requires_grad for t in tensors)):
        return False
    return any(_unpacked(tensor)[1] is not None for tensor in tensors)


def has_tangent(tensor: Tensor) -> bool:
    """Return whether a tensor has a derivative in `torch.autograd.forward_ad`, or in the innermost `jvp`."""
    return _unpacked(tensor)[1] is not None


def call_with_tangents(run: WithTangents, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the results of a function in forward mode, by one call of `run` for all directions."""
    primals, tangents = zip(*map(_unpacked, tensors), strict=True)
    results, changes = along_directions(run, primals, [t if t is None else t[None] for t in tangents])
    return tuple(
        forward_ad.make_dual(result, change[0]) for result, change in zip(results, changes, strict=True)
    )


def along_directions(
    run: WithTangents, primals: Sequence[Tensor], tangents: Sequence[Tensor | None]
) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Return what `run` returns for plain tensors, with the directions that `torch.func.vmap` runs over."""
    active = tuple(tangent is not None for tangent in tangents)
    given = [tangent for tangent in tangents if tangent is not None]
    results = _Along.apply(run, active, *primals, *given)
    count = len(results) // 2
    return results[:count], results[count:]


def _unpacked(tensor: Tensor) -> tuple[Tensor, Tensor | None]:
    primal, tangent = forward_ad.unpack_dual(tensor)
    return primal, tangent


class _Along(torch.autograd.Function):
    """A function with its derivatives along directions, whose axis takes in those that `vmap` runs over."""

    @staticmethod
    def forward(run: WithTangents, active: tuple[bool, ...], *tensors: Tensor) -> tuple[Tensor, ...]:
        primals, given = tensors[: len(active)], iter(tensors[len(active) :])
        results, changes = run(primals, [next(given) if is_active else None for is_active in active])
        return *results, *changes

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def vmap(info: Any, in_dims: Any, run: WithTangents, active: tuple[bool, ...], *tensors: Tensor) -> Any:
        axes, number, size = in_dims[2:], len(active), info.batch_size
        if any(axis is not None for axis in axes[:number]):
            return _one_by_one(run, active, axes, tensors, size)
        primals, given = tensors[:number], []
        for tangent, axis in zip(tensors[number:], axes[number:], strict=True):
            whole = tangent.expand(size, *tangent.shape) if axis is None else tangent.movedim(axis, 0)
            given.append(whole.flatten(0, 1))
        results = _Along.apply(run, active, *primals, *given)
        count = len(results) // 2
        changes = (change.unflatten(0, (size, -1)) for change in results[count:])
        return (*results[:count], *changes), (None,) * count + (0,) * count


def _one_by_one(
    run: WithTangents,
    active: tuple[bool, ...],
    axes: Sequence[int | None],
    tensors: Sequence[Tensor],
    size: int,
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """Return the results of samples whose arguments differ, one sample after another."""
    samples = (
        [t if axis is None else t.select(axis, k) for t, axis in zip(tensors, axes, strict=True)]
        for k in range(size)
    )
    each = [_Along.apply(run, active, *sample) for sample in samples]
    stacked = tuple(torch.stack(results) for results in zip(*each, strict=True))
    return stacked, (0,) * len(stacked)
