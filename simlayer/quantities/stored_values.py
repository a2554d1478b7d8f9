"""Physical values and the stored ones that an optimizer changes, one from the other, by name."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from simlayer.autodiff.torch_private import is_mapped
from simlayer.quantities.arrays import checked_floats, described
from simlayer.quantities.named import Match, NamedTensors
from simlayer.quantities.objects import checked_instance
from simlayer.quantities.quantity import Quantity, check_own_axes


def to_stored(module: nn.Module, name: str, value: Any) -> Tensor:
    """Return the stored value of a quantity, as an optimizer changes it, for a physical value in SI units.

        stored = to_stored(rollout, "youngs_modulus", 2e5)  # log(2e5)

    For optimizers of one's own, such as those of SciPy: a stored value is unconstrained.

    Args:
        module: a rollout, a step, or anything else with quantities inside.
        name: of the quantity, or the end of its name where that is unique.
        value: a number or an array of numbers, of the shapes that the quantity can have; of several samples,
            too.

    Raises:
        KeyError: if the name is unknown, or the end of several names, or that of the stored value.
        ValueError: if the value is outside the range of the quantity or of another shape, or requires grad.
    """
    named, match, quantity = _found(module, name)
    if match.is_stored and match.name != match.parameter:
        raise KeyError(f"{name!r} is the name of what is stored, and value is physical: name {match.name!r}.")
    parameter = named.parameters[match.parameter]
    stored = quantity.encode(value, parameter.dtype).to(parameter.device)
    _check_shape(named, match, stored, "value")
    return stored


def to_physical(module: nn.Module, name: str, stored: Tensor) -> Tensor:
    """Return the physical value of a quantity in SI units for a stored one, differentiably.

    Arguments and errors as for `to_stored`, whose inverse it is; the name of what is stored does, too.
    """
    named, match, quantity = _found(module, name)
    _check_shape(named, match, checked_floats("stored", stored), "stored")
    value = quantity.value(stored)
    if not is_mapped(value):  # by vmap, under which no number can be looked at
        try:
            quantity.check(value.detach(), name=quantity.name)
        except ValueError as error:
            raise ValueError(
                f"stored stands for no physical value, got {described(stored)}: {error}"
            ) from None
    return value


def check_not_at_end(name: str, stored: Tensor) -> None:
    """Raise ValueError, naming `name`, if an optimizer would start from infinity, the end of a range."""
    if not bool(stored.detach().isfinite().all()):
        raise ValueError(
            f"{name} is at an end of its range, where its stored value is infinite and no gradient leads "
            "away: assign a value inside of the range before it is trained."
        )


def _found(module: nn.Module, name: str) -> tuple[NamedTensors, Match, Quantity]:
    named = NamedTensors(checked_instance("module", module, nn.Module))
    try:
        match = named.find(name)
    except KeyError as error:
        raise KeyError(f"module ({type(module).__name__}): {error.args[0]}") from None
    if match.quantity is None:
        raise KeyError(f"{match.name!r} is a weight and no quantity: it is stored as it is.")
    return named, match, match.quantity


def _check_shape(named: NamedTensors, match: Match, tensor: Tensor, argument: str) -> None:
    """Raise ValueError unless a quantity can have values of this shape."""
    entry = named.quantities[match.name]
    if not tensor.numel():
        raise ValueError(f"{argument} must hold at least one number, got shape {tuple(tensor.shape)}.")
    check_own_axes(entry.quantity, tensor, entry.module.extents, name=f"{argument} of {match.name}")
