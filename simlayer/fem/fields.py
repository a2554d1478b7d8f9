"""The layout of values: per sample, and of fields with cells first, then the batch."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor


def per_sample(value: Float[Tensor, "*batch_and_one"]) -> Float[Tensor, "*batch"]:
    """Return a uniform quantity, `()` or `(*batch, 1)`, without its own axis."""
    return value[..., 0] if value.ndim else value


def over_batch(field: Tensor, own_axes: int, batch_axes: int) -> Tensor:
    """Return the field with its own axes first, aligned with fields of `batch_axes` batch axes.

    Raises:
        ValueError: if the field has more batch axes.
    """
    missing = batch_axes - (field.ndim - own_axes)
    if missing < 0:
        raise ValueError(
            f"rest positions have {field.ndim - own_axes} batch axes, the positions have {batch_axes}; "
            "expand the positions to the batch, or call through a RolloutModule, which does."
        )
    return field[(*[slice(None)] * own_axes, *[None] * missing, ...)] if missing else field


def batch_first(field: Tensor, own_axes: int) -> Tensor:
    """Return a view of a field with its own axes last."""
    return field.movedim([*range(own_axes)], [*range(-own_axes, 0)]) if field.ndim > own_axes else field


def batch_last(field: Tensor, own_axes: int) -> Tensor:
    """Return a view of a field with its own axes first."""
    return field.movedim([*range(-own_axes, 0)], [*range(own_axes)]) if field.ndim > own_axes else field


def cells_first(
    value: Float[Tensor, "*batch_and_own"], batch_axes: int, *, regions: Int[Tensor, "M"] | None = None
) -> Float[Tensor, "*own_and_batch"]:
    """Return a quantity over cells, or regions, aligned with fields of `batch_axes` batch axes.

    Raises:
        ValueError: if the quantity has more batch axes.
    """
    if value.ndim == 0:
        return value
    if value.ndim - 1 > batch_axes:
        raise ValueError(
            f"a quantity of shape {tuple(value.shape)} has {value.ndim - 1} batch axes, the positions have "
            f"{batch_axes}; expand the positions to the batch, or call through a RolloutModule, which does."
        )
    value = value.movedim(-1, 0)
    if regions is not None and value.shape[0] > 1:
        value = value[regions]
    return value.reshape(value.shape[0], *[1] * (batch_axes - value.ndim + 1), *value.shape[1:])
