"""The numbers that a controller sets, and the quantities over which they are distributed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from simlayer.quantities.arrays import checked_integers, described
from simlayer.quantities.named import NamedTensors
from simlayer.quantities.objects import checked_instance, checked_names
from simlayer.quantities.quantity import Quantity
from simlayer.steps.base import Step


@dataclass(frozen=True)
class _Control:
    """A quantity that is set: its names, which number each of its values follows, and what it is now."""

    name: str
    stored_name: str
    quantity: Quantity | None
    numbers: Int[Tensor, "_"]
    now: Float[Tensor, "_"]


class ControlGroups(nn.Module):
    """A few numbers, each of which sets one value of a quantity, or a group of values.

        groups = {"activation": (middles[:, 2] > 0.01).long()}                   # for each cell, 0 or 1
        controls = ControlGroups(step, ["activation"], groups)
        controls.expand(torch.zeros(16, 2))                    # {"forces.muscle.logit_activation": (16, M)}

    Args:
        step: whose quantities are set; no reference to it is kept.
        names: of the quantities.
        groups: for some of them, which group each value belongs to, from 0 on: `(n,)`, with a value per cell,
            say, even if the step has one for all. Without, every value is set by a number of its own.

    Attributes:
        size: how many numbers there are.

    Raises:
        KeyError: if a name is unknown, or the end of several names.
        ValueError: if a quantity is named twice, or groups do not fit.
    """

    def __init__(
        self, step: Step, names: str | Iterable[str], groups: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        checked_instance("step", step, Step, example="SymplecticEuler(...)")
        listed = checked_names("names", [names] if isinstance(names, str) else names)
        if not listed:
            raise ValueError("names must name at least one quantity, got none.")
        given = {} if groups is None else dict(groups)
        if unknown := [name for name in given if name not in listed]:
            raise ValueError(f"groups must be those of {list(listed)}, got one of {unknown[0]!r}.")
        named, self.size, self._controls = NamedTensors(step), 0, list[_Control]()
        for name in listed:
            match = named.find(name)
            now = named.parameters[match.parameter].detach().flatten()
            own = _numbers(name, given.get(name), now)
            self.register_buffer(f"numbers{len(self._controls)}", own + self.size, persistent=False)
            self._controls.append(_Control(match.name, match.parameter, match.quantity, own, now))
            self.size += int(own.max()) + 1
        if len({control.stored_name for control in self._controls}) < len(listed):
            raise ValueError(f"names must be of different quantities, got {list(listed)}.")

    @property
    def names(self) -> list[str]:
        """The full names of the quantities."""
        return [control.name for control in self._controls]

    def start(self) -> Float[Tensor, "_"]:
        """Return the numbers that are stored now, the mean of each group.

        Raises:
            ValueError: if a value is at an end of its range, where nothing can start.
        """
        for control in self._controls:
            if not bool(control.now.isfinite().all()):
                raise ValueError(
                    f"{control.name} is at an end of its range, from where a controller cannot start; give "
                    "the step a value inside of it."
                )
        return torch.cat(
            [
                torch.stack([now[numbers == k].mean() for k in range(int(numbers.max()) + 1)])
                for numbers, now in ((c.numbers, c.now.expand(len(c.numbers))) for c in self._controls)
            ]
        )

    def ranges(self) -> Float[Tensor, "2 _"]:
        """Return the lowest and the highest physical value of each number.

        Raises:
            ValueError: if one of them is not finite.
        """
        ends = []
        for control in self._controls:
            low, high = (-torch.inf, torch.inf) if control.quantity is None else control.quantity.range
            if not high - low < torch.inf:
                raise ValueError(
                    f"{control.name} must have a range of two finite ends, as an activation has, to be drawn "
                    f"at random; it has ({low:g}, {high:g})."
                )
            ends += [(low, high)] * (int(control.numbers.max()) + 1)
        return torch.tensor(ends).T

    def expand(self, numbers: Float[Tensor, "*batch _"], *, physical: bool = False) -> dict[str, Tensor]:
        """Return the values of each quantity, `(*batch, n)`, by its stored name, or physical ones."""
        return {
            control.name if physical else control.stored_name: numbers[..., getattr(self, f"numbers{k}")]
            for k, control in enumerate(self._controls)
        }


def _numbers(name: str, groups: Any, now: Float[Tensor, "_"]) -> Int[Tensor, "_"]:
    """Return the group of each value of a quantity; raises ValueError."""
    if groups is None:
        return torch.arange(len(now), device=now.device)
    own = checked_integers(f"groups[{name!r}]", groups).to(now.device)
    count = len(now)
    if own.ndim != 1 or not len(own) or (count > 1 and len(own) != count):
        raise ValueError(
            f"groups[{name!r}] must be a group per value, ({count if count > 1 else 'n'},), got "
            f"{described(groups)}."
        )
    if len(own.unique()) <= int(own.max()) or int(own.min()) < 0:
        raise ValueError(
            f"groups[{name!r}] must have all numbers from 0 to its largest, got {described(groups)}."
        )
    return own
