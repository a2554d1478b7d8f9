"""The least and largest values that quantities were set to, without waiting for the device."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from simlayer.quantities.named import NamedTensors


class Extremes:
    """The least and the largest of all values of some quantities."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Tensor, Tensor]] = {}

    def note(self, values: Mapping[str, Tensor]) -> None:
        """Take further values into account."""
        for name, value in values.items():
            low, high = value.aminmax()
            before = self._found.get(name, (low, high))
            self._found[name] = torch.minimum(before[0], low), torch.maximum(before[1], high)

    def check(self, named: NamedTensors, setter: str, step: int | None) -> None:
        """Raise ValueError if a quantity was set out of its range; waits for the device once.

        Args:
            named: the tensors of the step.
            setter: what has set them, for the message.
            step: the index of the step before which that was, None if it is not known.
        """
        if not self._found:
            return
        numbers = torch.stack([part for pair in self._found.values() for part in pair]).tolist()
        for name, low, high in zip(self._found, numbers[::2], numbers[1::2], strict=True):
            quantity = named.quantities[name].quantity
            if bool(quantity.contains(torch.tensor([low, high], dtype=torch.float64)).all()):
                continue
            least, most = quantity.range
            remedy = "look at its weights and at what it sees"
            if quantity.stored_name != quantity.name:
                remedy = f"let it return {quantity.stored_name}, the stored value, which may be any number"
            raise ValueError(
                f"{setter} has set {name} to {high if least < low else low:g}"
                f"{'' if step is None else f' before step {step + 1}'}, which must lie between {least:g} and "
                f"{most:g}: {remedy}."
            )
