"""What is thought of quantities before anything is observed: ranges, in which all values are as likely."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.identification.uncertainty import parameter_names
from simlayer.identification.unknowns import Unknown, select_trainable, short_names
from simlayer.quantities.arguments import checked_number, checked_several
from simlayer.quantities.arrays import described


class UniformPrior:
    """Independent values of quantities, uniform in the range of each, or their logarithms if positive.

    Args:
        candidates: quantities by their full names.
        ranges: the lowest and the highest value [SI] by names of quantities, or unique ends of names.

    Attributes:
        unknowns: the quantities, whose stored values are the P numbers, one after the other.
        ranges: the lowest and the highest value [SI] by full name.

    Raises:
        KeyError: if a name is unknown, or the end of several names.
        TypeError, ValueError: if a range is not two numbers that the quantity can have, the lower one first,
            or there is no range, or one for `release_time`, which is one number for all specimens.
    """

    def __init__(self, candidates: Mapping[str, Unknown], ranges: Mapping[str, Any]) -> None:
        if not isinstance(ranges, Mapping) or not ranges:
            raise TypeError(f"prior must map names of quantities to ranges, got {described(ranges)}.")
        self.unknowns = select_trainable(candidates, ranges)
        if any(unknown.name == "release_time" for unknown in self.unknowns):
            raise ValueError("prior must not name 'release_time', which is one number for all specimens.")
        if len(self.unknowns) < len(ranges):
            raise ValueError(f"prior must name each quantity once, got {', '.join(ranges)}.")
        self.ranges = {
            unknown.name: _checked_range(unknown, ends)
            for unknown, ends in zip(self.unknowns, ranges.values(), strict=True)
        }

    def draw(self, count: int, generator: torch.Generator) -> Float[Tensor, "B P"]:
        """Return the stored values of so many specimens, in double precision."""
        shares = [
            torch.rand(count, u.parameter.numel(), dtype=torch.float64, generator=generator)
            for u in self.unknowns
        ]
        return self._stored(shares)

    def middle(self) -> Float[Tensor, "P"]:
        """Return the stored values in the middle of the ranges."""
        return self._at(0.5)

    def nearest(self, stored: Float[Tensor, "B P"]) -> Float[Tensor, "B P"]:
        """Return the stored values in the ranges that are nearest to others."""
        return torch.clamp(stored, self._at(0.0), self._at(1.0))

    @property
    def size(self) -> int:
        """The number P of numbers of a specimen."""
        return sum(unknown.parameter.numel() for unknown in self.unknowns)

    def median_errors(
        self, values: Mapping[str, Float[Tensor, "B"]], truth: Mapping[str, Float[Tensor, "B"]]
    ) -> dict[str, Float[Tensor, ""]]:
        """Return the median error of the values of specimens, by `median_error/<name>`.

        That of a positive quantity is relative to the truth, that of another to its range.
        """
        each = [
            (unknown.quantity.positive, high - low)
            for unknown, (low, high) in zip(self.unknowns, self.ranges.values(), strict=True)
            for _ in range(unknown.parameter.numel())
        ]
        found = {}
        for label, name, (positive, length) in zip(self.labels, values, each, strict=True):
            scale = truth[name] if positive else length
            found[f"median_error/{label}"] = ((values[name] - truth[name]) / scale).abs().median()
        return found

    @property
    def labels(self) -> list[str]:
        """A short name for each of the P numbers."""
        return list(parameter_names(self.unknowns, short_names(self.unknowns)))

    def _at(self, share: float) -> Float[Tensor, "P"]:
        """Return the stored values at the same share of all ranges."""
        return self._stored(
            [torch.full((1, u.parameter.numel()), share, dtype=torch.float64) for u in self.unknowns]
        )[0]

    def _stored(self, shares: list[Float[Tensor, "B own"]]) -> Float[Tensor, "B P"]:
        """Return the stored values at shares of the ranges."""
        parts = []
        for unknown, (low, high), share in zip(self.unknowns, self.ranges.values(), shares, strict=True):
            if unknown.quantity.positive:
                value = (math.log(low) + math.log(high / low) * share).exp()
            else:
                value = low + (high - low) * share
            parts.append(unknown.quantity.encode(value, torch.float64))
        return torch.cat(parts, 1)


def _checked_range(unknown: Unknown, ends: Any) -> tuple[float, float]:
    name = f"the prior of {unknown.name}"
    low, high = checked_several(name, ends, 2, checked_number)
    unknown.quantity.check(torch.tensor([low, high], dtype=torch.float64), name=name)
    if not low < high:
        raise ValueError(f"{name} must have the lower value first, got {low:g} and {high:g}.")
    return low, high
