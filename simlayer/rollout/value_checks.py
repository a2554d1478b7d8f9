"""Checks of the values that a rollout reads, its controls at all times included, before the first step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from simlayer.errors import first_index
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import place
from simlayer.quantities.values import updated_values
from simlayer.rollout.inputs import RolloutInputs
from simlayer.rollout.layout import unpack_value

# As many values over cells, times and samples are computed at once to look at controls.
_AT_ONCE = 2**21


@torch.no_grad()
def check_values(inputs: RolloutInputs) -> None:
    """Raise ValueError if a quantity is out of its range, or what derives from it is not finite.

    Stored values, of a network say, may be beyond what their logarithms can stand for. One look at the
    extremes of all values; only where they are wrong is the name, the sample and the step found.
    """
    named = inputs.named
    changing = inputs.changes[0].keys() if inputs.changes else ()
    constant = {name: inputs.values[name] for name in named.own_axes if name not in changing}
    if not _within(inputs, constant):
        _refuse(inputs, {n: unpack_value(value, named.own_axes[n]) for n, value in constant.items()}, None)
    for first, values in controlled_values(inputs):
        if not _within(inputs, values):
            _refuse(inputs, values, first)


def controlled_values(inputs: RolloutInputs) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Yield the values that follow from controls for many steps at once, with the index of the first step.

    Their first axis is time, and all axes of the batch follow it.
    """
    if not inputs.timed:
        return
    count, batch = len(inputs.changes), inputs.batch_shape
    aligned = {
        name: _aligned(inputs, name, value.detach(), len(batch)) for name, value in inputs.timed.items()
    }
    values = inputs.unpacked(inputs.values)
    cells = max(module.extents.get("cells", 1) for _, module in inputs.named.physical)
    length = max(1, _AT_ONCE // (cells * max(1, batch.numel())))
    for first in range(0, count, length):
        part = {name: value[first : first + length] for name, value in aligned.items()}
        yield first, updated_values(inputs.named, values, part)


def _aligned(inputs: RolloutInputs, name: str, value: Tensor, batch_axes: int) -> Tensor:
    """Return a control with time first, then the axes of the batch, then the quantity's own."""
    axes = inputs.named.own_axes[name]
    own = value.shape[1:][-axes:] if value.ndim > axes else (1,) * axes
    batch = value.shape[1 : value.ndim - axes]
    return value.reshape(len(value), *[1] * (batch_axes - len(batch)), *batch, *own)


def _within(inputs: RolloutInputs, values: Mapping[str, Tensor]) -> bool:
    """Return whether all values are in their ranges; waits for the device once."""
    if not values:
        return True
    extremes = [
        (value, value) if value.numel() == 1 else value.aminmax()
        for value in map(Tensor.detach, values.values())
    ]
    lows, highs = (
        torch.stack([each.reshape(()) for each in side]).tolist() for side in zip(*extremes, strict=True)
    )
    ranges = (_range(inputs, name) for name in values)
    return all(
        least < low and high < most for (least, most), low, high in zip(ranges, lows, highs, strict=True)
    )


def _range(inputs: RolloutInputs, name: str) -> tuple[float, float]:
    """Return the two numbers that a value lies strictly between."""
    entry = inputs.named.quantities.get(name)
    if entry is None:
        return -math.inf, math.inf
    low, high = entry.quantity.range
    if entry.quantity.closed:
        low, high = math.nextafter(low, -math.inf), math.nextafter(high, math.inf)
    return low, high


def _refuse(inputs: RolloutInputs, values: Mapping[str, Tensor], first: int | None) -> None:
    """Raise ValueError for the first quantity, or else derived value, that is wrong."""
    named = inputs.named
    for name, value in values.items():
        if name in named.quantities:
            named.quantities[name].quantity.check(value, name=name, first_step=first)
    for name, value in values.items():
        wrong = ~value.isfinite()
        if bool(wrong.any()):
            index = first_index(wrong)
            path, _, own = name.rpartition(".")
            owner = named.modules[path]
            known = owner.quantities() if isinstance(owner, PhysicalModule) else ()
            causes = ", ".join(known) or "other quantities"
            where = place(index, named.own_axes[name], first)
            raise ValueError(
                f"{name} is {value[index].item():g}{where}: {own} follows from {causes}, which are too "
                f"large, too small or too near to a bound for {value.dtype}."
            )
