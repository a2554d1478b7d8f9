"""What the observations of a fit do not determine, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.identification.uncertainty import Uncertainty, parameter_names
from simlayer.identification.unknowns import Unknown, short_names

# Parts of a direction below this share of its largest are not worth a name.
LEAST_PART = 0.1


def describe_undetermined(
    uncertainty: Uncertainty, unknowns: Sequence[Unknown], *, listed_in: str = "unknowns"
) -> list[str]:
    """Return a sentence for everything that a fit of some unknowns leaves undetermined, with a remedy.

    Args:
        uncertainty: of the values found.
        unknowns: the quantities.
        listed_in: the argument, or key of a configuration, in which the user has named them.
    """
    elsewhere = f"or take a value from elsewhere and leave it out of `{listed_in}`"
    labels = parameter_names(unknowns, short_names(unknowns))
    owners = dict(zip(labels, (u for u in unknowns for _ in range(u.parameter.numel())), strict=True))
    sentences: list[str] = []
    named: set[str] = set()
    at_limits = _limits_reached(uncertainty, labels, owners, elsewhere)
    for direction in _simplest(uncertainty.linear.undetermined):
        shares = direction.abs() / direction.abs().max()
        parts = {name: float(direction[k]) for k, name in enumerate(labels) if float(shares[k]) > LEAST_PART}
        if not parts.keys() <= named | at_limits.keys():
            sentences.append(_sentence(parts, owners, elsewhere))
        named |= parts.keys()
    for name, determined in zip(labels, uncertainty.determined.tolist(), strict=True):
        if not determined and name not in named | at_limits.keys():
            sentences.append(_sentence({name: 1.0}, owners, elsewhere))
    return [*at_limits.values(), *sentences]


def _limits_reached(
    uncertainty: Uncertainty, labels: Sequence[str], owners: Mapping[str, Unknown], elsewhere: str
) -> dict[str, str]:
    """Return a sentence for each undetermined quantity of which the fit asks for a value out of its range."""
    wanted = (uncertainty.values + uncertainty.units * uncertainty.linear.step).tolist()
    found = {}
    for name, value, determined in zip(labels, wanted, uncertainty.determined.tolist(), strict=True):
        low, high = owners[name].quantity.range
        if determined or low < value < high:
            continue
        limit, unit = high if value >= high else low, owners[name].unit
        found[name] = (
            f"{name} is not determined: the fit has run to the limit of its range, "
            f"{limit:g}{'' if unit == '1' else f' {unit}'}, and would go beyond it. Either what was observed "
            "hardly depends on it, or it makes up for something else that is wrong: check how the body "
            "starts, its other quantities, and the units of mesh and data, observe other points or times, "
            f"{elsewhere}."
        )
    return found


def _sentence(parts: Mapping[str, float], owners: Mapping[str, Unknown], elsewhere: str) -> str:
    names = list(parts)
    if len(names) == 1:
        return (
            f"{names[0]} is not determined: what was observed hardly depends on it. Observe other points or "
            f"times, load the body in another way, {elsewhere}."
        )
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    positive = all(owners[name].quantity.positive for name in names)
    combination = f", only {_invariant(parts)}" if positive and len(names) == 2 else ""
    remedy = "Load the body in another way, or observe other points or times"
    if _only_relative(parts, owners):
        remedy = "Only their size relative to each other shows: add a load or a mass that is known"
    return (
        f"{listed} are not determined{combination}: they can change together and nothing that was observed "
        f"changes. {remedy}, {elsewhere}."
    )


def _invariant(parts: Mapping[str, float]) -> str:
    """Return the product of powers of two quantities that a change of their logarithms leaves as it is."""
    (first, a), (second, b) = parts.items()
    power = abs(a / b)
    factor = second if abs(power - 1) < 0.05 else f"{second}^{power:.2g}"
    return f"{first} {'/' if a * b > 0 else '*'} {factor}"


def _only_relative(parts: Mapping[str, float], owners: Mapping[str, Unknown]) -> bool:
    """Return whether these quantities all scale with the unit of force, and change by the same factor."""
    scaling = all(
        owners[name].quantity.positive and owners[name].unit.split("/")[0].split(" ")[0] in ("Pa", "N", "kg")
        for name in parts
    )
    changes = torch.tensor(list(parts.values()))
    return scaling and bool((changes / changes[0] - 1).abs().max() < 0.05)


def _simplest(directions: Float[Tensor, "U P"]) -> Float[Tensor, "U P"]:
    """Return directions that span the same space with as many zeros as elimination makes."""
    rows = directions.clone()
    for k in range(len(rows)):
        column = int(rows[k].abs().argmax())
        rows[k] /= rows[k, column].clone()
        for other in range(len(rows)):
            if other != k:
                rows[other] -= rows[other, column].clone() * rows[k]
    return rows
