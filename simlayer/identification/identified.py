"""What a fit has found: values, standard errors, and what the data do not determine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from simlayer.identification.measured_values import format_measured
from simlayer.identification.uncertainty import Uncertainty
from simlayer.identification.undetermined import describe_undetermined
from simlayer.identification.unknowns import Unknown


@dataclass(frozen=True)
class Identified:
    """What a fit has found. The rollout itself has the values, too.

    Attributes:
        unknowns: the quantities.
        uncertainty: of their values.
        residuals: simulated minus observed coordinates [m], times their weights where `noise` is given,
            `(B, T, K, 3)`; zero where nothing was observed.
        steps: how many steps the fit took.
    """

    unknowns: tuple[Unknown, ...]
    uncertainty: Uncertainty
    residuals: Float[np.ndarray, "B T K 3"]
    steps: int

    @property
    def values(self) -> dict[str, float]:
        """The values by name [SI]; those that are not determined are where the fit stopped."""
        return dict(zip(self.uncertainty.names, self.uncertainty.values.tolist(), strict=True))

    @property
    def standard_errors(self) -> dict[str, float]:
        """The standard errors by name [SI], infinite for what is not determined."""
        return dict(zip(self.uncertainty.names, self.uncertainty.standard_errors.tolist(), strict=True))

    @property
    def undetermined(self) -> list[str]:
        """A sentence for everything that the data do not determine, with what would determine it."""
        return describe_undetermined(self.uncertainty, self.unknowns)

    def __str__(self) -> str:
        units = [unknown.unit for unknown in self.unknowns for _ in range(unknown.parameter.numel())]
        rows = zip(self.values.items(), self.standard_errors.values(), units, strict=True)
        lines = [
            f"{name} = {format_measured(value, error, unit) if np.isfinite(error) else 'not determined'}"
            for (name, value), error, unit in rows
        ]
        return "\n".join([*self.undetermined, *lines])
