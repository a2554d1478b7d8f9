"""Physical values and the stored ones that an optimizer changes, one from the other, by name."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from simlayer.quantities.named import NamedTensors
from simlayer.quantities.objects import checked_instance
from simlayer.quantities.quantity import Quantity


def to_stored(module: nn.Module, name: str, value: Any) -> Tensor:
    """Return the stored value of a quantity, as an optimizer changes it, for a physical value in SI units.

        stored = to_stored(rollout, "youngs_modulus", 2e5)  # log(2e5)

    For optimizers of one's own, such as those of SciPy: a stored value is unconstrained.

    Args:
        module: a rollout, a step, or anything else with quantities inside.
        name: of the quantity, or the end of its name where that is unique.
        value: a number or an array of numbers; of several samples, too.

    Raises:
        KeyError: if the name is unknown, or the end of several names.
        ValueError: if the value is outside the range of the quantity, or requires grad.
    """
    parameter, quantity = _found(module, name)
    return quantity.encode(value).to(parameter)


def to_physical(module: nn.Module, name: str, stored: Tensor) -> Tensor:
    """Return the physical value of a quantity in SI units for a stored one, differentiably.

    Arguments and errors as for `to_stored`, whose inverse it is.
    """
    _, quantity = _found(module, name)
    return quantity.decode(checked_instance("stored", stored, Tensor))


def _found(module: nn.Module, name: str) -> tuple[Tensor, Quantity]:
    """Return the parameter in which a quantity is stored, and the quantity."""
    named = NamedTensors(module)
    match = named.find(name)
    if match.quantity is None:
        raise KeyError(f"{match.name!r} is a weight and no quantity: it is stored as it is.")
    return named.parameters[match.parameter].detach(), match.quantity
