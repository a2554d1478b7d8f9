"""Forces that depend on the past of a body, by internal variables at its quadrature points."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.fem.finite_elements import FiniteElements


class HistoryDependent(ABC):
    """What a force is, besides a `Force`, whose past enters by internal variables.

    Steps carry these in the history of a state, as one tensor `(*batch, K, 3)` for each such force, let the
    force have those of the moment while they evaluate it, and replace them by `updated` ones at the end.
    Whatever calls the force by itself finds those of a body that has never been deformed.

    Attributes:
        rate_dependent: whether it matters how long a step takes.
        internal_variables: a buffer, at the start of the step.
        elapsed: a buffer: how long after that the force is evaluated [s], zero in explicit steps.
    """

    rate_dependent: ClassVar[bool] = True
    internal_variables: Tensor
    elapsed: Tensor

    @abstractmethod
    def updated(self, positions: Float[Tensor, "*batch N 3"], dt: float) -> Float[Tensor, "*batch K 3"]:
        """Return the internal variables dt [s] later, when the body has moved to these positions."""


def as_fields(
    variables: Float[Tensor, "*batch K 3"], elements: FiniteElements
) -> list[Float[Tensor, "*cells_and_batch"]]:
    """Return internal variables as fields over the quadrature points, three for each multiple of these."""
    packed = variables.movedim((-1, -2), (0, 1))
    points = (len(elements.rule.weights),) if elements.has_points else ()
    fields = packed.unflatten(1, (-1, *points, elements.num_cells))
    return [field for row in fields.unbind(1) for field in row.unbind(0)]


def from_fields(
    fields: list[Float[Tensor, "*cells_and_batch"]], own_axes: int
) -> Float[Tensor, "*batch K 3"]:
    """Return as internal variables fields over the quadrature points, in a number that 3 divides."""
    rows = torch.stack(torch.broadcast_tensors(*fields)).unflatten(0, (-1, 3))
    return rows.movedim(1, 0).flatten(1, 1 + own_axes).movedim((0, 1), (-1, -2))
