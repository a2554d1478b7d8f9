"""What every result of a fit tells of the values that it has found."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

from simlayer.identification.measured_values import format_measured
from simlayer.identification.uncertainty import Uncertainty
from simlayer.identification.undetermined import describe_undetermined
from simlayer.identification.unknowns import Unknown


class FoundValues(ABC):
    """Values with their standard errors, by name.

    Attributes:
        uncertainty: of the values.
    """

    uncertainty: Uncertainty

    @abstractmethod
    def identified(self) -> Sequence[Unknown]:
        """Return the quantities that were sought."""

    @property
    def values(self) -> dict[str, float]:
        """The values by name [SI]; those that are not determined are where the fit stopped."""
        return dict(zip(self.uncertainty.names, self.uncertainty.values.tolist(), strict=True))

    @property
    def standard_errors(self) -> dict[str, float]:
        """The standard errors by name [SI], infinite for what is not determined."""
        return dict(zip(self.uncertainty.names, self.uncertainty.standard_errors.tolist(), strict=True))

    @property
    def units(self) -> tuple[str, ...]:
        """The SI unit of each value."""
        return tuple(u.unit for u in self.identified() for _ in range(u.parameter.numel()))

    @property
    def undetermined(self) -> list[str]:
        """A sentence for everything that the data do not determine, with what would determine it."""
        return describe_undetermined(self.uncertainty, list(self.identified()))

    def format_values(self) -> list[str]:
        """Format each value with its standard error, a line each."""
        rows = zip(self.values.items(), self.standard_errors.values(), self.units, strict=True)
        return [
            f"{name} = {format_measured(value, error, unit) if math.isfinite(error) else 'not determined'}"
            for (name, value), error, unit in rows
        ]
