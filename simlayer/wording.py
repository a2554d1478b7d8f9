"""Words that failures of a simulation share."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from simlayer.steps.base import Step

_LISTED = 5


def listed(vertices: Sequence[int]) -> str:
    """The first few."""
    more = f" and {len(vertices) - _LISTED} more" if len(vertices) > _LISTED else ""
    return f"{list(vertices[:_LISTED])}{more}"


def first_index(mask: Tensor) -> tuple[int, ...]:
    """Of what is true, by all of its axes."""
    return tuple(mask.nonzero()[0].tolist())


def in_substeps(step: Step) -> str:
    return f" in {step.substeps} substeps" if step.substeps > 1 else ""


def needed_substeps(step: Step, limit: float) -> int:
    """To stay below a stable time step."""
    return int(step.substeps * step.dt / (0.9 * limit)) + 1
