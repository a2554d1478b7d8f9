"""The memory layout inside a rollout: components outermost, batch innermost.

Everybody writes `(*batch, N, 3)`. A compiled step is fastest when each component of each sample's vertices
lies in one contiguous run, so a rollout packs once at its edge, and steps see views of what is packed.
"""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from simlayer.state import State


def pack(x: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "3 N *batch"]:
    """Return a contiguous copy with components first and batch last."""
    return x.movedim((-1, -2), (0, 1)).contiguous()


def unpack(x: Float[Tensor, "3 N *batch"]) -> Float[Tensor, "*batch N 3"]:
    """Return a view of packed vectors in the usual order of axes."""
    return x.movedim((0, 1), (-1, -2))


def unpack_result(x: Float[Tensor, "3 N *batch"]) -> Float[Tensor, "*batch N 3"]:
    """Return a view of a packed result in the usual order of axes, whose gradient is packed too.

    A gradient comes in any layout, and operators keep it: sums over vertices would be taken in another order
    than in a step that is run again, and differ in the last bit.
    """
    if x.requires_grad:
        x.register_hook(lambda gradient: None if gradient is None else gradient.contiguous())
    return unpack(x)


def on_state(function: Callable[[Tensor], Tensor], state: State) -> State:
    """Return the state with a function applied to each of its tensors."""
    return State(
        function(state.positions), function(state.velocities), tuple(function(past) for past in state.history)
    )


def pack_value(value: Tensor, own_axes: int) -> Tensor:
    """Return `(*batch, *own)` values as a contiguous tensor with the own axes reversed and first."""
    if value.ndim <= 1:
        return value.contiguous()
    own, first = _axes(value, own_axes)
    return value.movedim(own, first).contiguous()


def unpack_value(packed: Tensor, own_axes: int) -> Tensor:
    """Return a view of packed values in the usual order of axes."""
    if packed.ndim <= 1:
        return packed
    own, first = _axes(packed, own_axes)
    return packed.movedim(first, own)


def _axes(value: Tensor, own_axes: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    count = min(own_axes, value.ndim)
    return tuple(range(-1, -count - 1, -1)), tuple(range(count))
