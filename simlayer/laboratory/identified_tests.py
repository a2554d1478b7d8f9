"""What a fit to several tests has found."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from simlayer.identification.found_values import FoundValues
from simlayer.identification.measured_values import format_measured
from simlayer.identification.uncertainty import Uncertainty
from simlayer.identification.unknowns import FEW, Unknown, format_unknown


@dataclass(frozen=True)
class IdentifiedTests(FoundValues):
    """What a fit to several tests has found. The materials of the tests have the values, too.

    Attributes:
        unknowns: the quantities.
        uncertainty: of their values.
        residuals: simulated minus measured values of each test by its name, in its unit.
        fitted_errors: standard errors of the simulated values of each test, in its unit: how far those of the
            unknowns move them.
        test_units: the unit of each test.
        alone: the standard errors that each test alone would give at these values, by its name; infinite
            where it does not determine a value.
        steps: how many steps the fit took.
    """

    unknowns: tuple[Unknown, ...]
    uncertainty: Uncertainty
    residuals: dict[str, Tensor]
    fitted_errors: dict[str, Tensor]
    test_units: dict[str, str]
    alone: dict[str, dict[str, float]]
    steps: int

    def identified(self) -> tuple[Unknown, ...]:
        return self.unknowns

    @property
    def rms(self) -> dict[str, float]:
        """The root mean square of the residuals of each test by its name, in its unit."""
        return {name: float(part.square().mean().sqrt()) for name, part in self.residuals.items()}

    def __str__(self) -> str:
        values, errors = self.values, self.standard_errors
        lines, names = [*self.undetermined], iter(values)
        for unknown in self.unknowns:
            own = [next(names) for _ in range(unknown.parameter.numel())]
            if len(own) > FEW:
                lines.append(f"{unknown.name} = {format_unknown(unknown)}, {len(own)} values")
                continue
            for name in own:
                found = format_measured(values[name], errors[name], unknown.unit)
                line = f"{name} = {found if math.isfinite(errors[name]) else 'not determined'}"
                lines.append(line + self._format_alone(name, unknown.unit))
        lines += [
            f"rms of the residuals of {test}: {rms:.4g} {self.test_units[test]}"
            for test, rms in self.rms.items()
        ]
        return "\n".join(lines)

    def _format_alone(self, name: str, unit: str) -> str:
        if len(self.alone) < 2:
            return ""
        each = (f"{test} {format_error(errors[name], unit)}" for test, errors in self.alone.items())
        return f" (alone: {', '.join(each)})"


def format_error(error: float, unit: str) -> str:
    """Format a standard error, infinite where something is not determined."""
    return "not determined" if math.isinf(error) else f"± {error:.3g} {unit}".rstrip(" 1")
