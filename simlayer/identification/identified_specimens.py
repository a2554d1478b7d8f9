"""What fits of many specimens have found: values and standard errors of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.errors import SimulationError
from simlayer.identification.identified import Identified
from simlayer.identification.measured_values import format_measured
from simlayer.identification.uncertainty import parameter_names
from simlayer.identification.unknowns import Unknown
from simlayer.quantities.arguments import checked_integer

# Of more specimens, or sentences about them, a summary is printed.
FEW = 12


@dataclass(frozen=True)
class SpecimenUnknown(Unknown):
    """A quantity of a specimen as its fit has left it, whatever becomes of the rollout.

    Attributes:
        stored: the stored value.
    """

    stored: Tensor = field(repr=False)

    @property
    def parameter(self) -> Tensor:
        return self.stored

    def of(self, index: int) -> SpecimenUnknown:
        """Return the quantity of one specimen, where the stored value is that of many."""
        return replace(self, stored=self.stored[index])


@dataclass(frozen=True)
class IdentifiedSpecimens:
    """What the fits of B specimens have found.

    `found[3]` is what the fit of specimen 3 has found, as `identify` returns it. The rollout has the values,
    too, `(B, own)` each.

    Attributes:
        unknowns: the quantities, with a value for each specimen.
        fits: what each fit has found, None for those that failed.
        errors: why fits have failed, by the index of the specimen.
    """

    unknowns: tuple[SpecimenUnknown, ...]
    fits: tuple[Identified | None, ...]
    errors: dict[int, str]

    def __len__(self) -> int:
        return len(self.fits)

    def __getitem__(self, index: int) -> Identified:
        """Return what the fit of one specimen has found.

        Raises:
            IndexError: if there is no such specimen.
            SimulationError: if its fit has failed.
        """
        index = checked_integer("index", index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"index must be that of one of {len(self)} specimens, got {index}.")
        found = self.fits[index]
        if found is None:
            raise SimulationError(f"the fit of specimen {index} has failed: {self.errors[index % len(self)]}")
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each of the P numbers of a specimen."""
        return parameter_names([unknown.of(0) for unknown in self.unknowns])

    @property
    def values(self) -> dict[str, Float[Tensor, "B"]]:
        """The values by name [SI], NaN where the fit failed; if not determined, where the fit stopped."""
        return self._by_name([None if fit is None else fit.uncertainty.values for fit in self.fits])

    @property
    def standard_errors(self) -> dict[str, Float[Tensor, "B"]]:
        """The standard errors by name [SI], infinite for what is not determined, NaN where the fit failed."""
        return self._by_name([None if fit is None else fit.uncertainty.standard_errors for fit in self.fits])

    @property
    def correlation(self) -> Float[Tensor, "B P P"]:
        """The correlation matrix of the values of each specimen, NaN where the fit failed."""
        size = len(self.names)
        lost = torch.full((size, size), torch.nan, dtype=torch.float64)
        return torch.stack([lost if fit is None else fit.uncertainty.correlation for fit in self.fits])

    @property
    def undetermined(self) -> dict[int, list[str]]:
        """What the data of specimens do not determine, in sentences, by the index of the specimen."""
        sentences = {k: fit.undetermined for k, fit in enumerate(self.fits) if fit is not None}
        return {k: listed for k, listed in sentences.items() if listed}

    @property
    def steps(self) -> Int[Tensor, "B"]:
        """How many steps each fit took; -1 where it failed."""
        return torch.tensor([-1 if fit is None else fit.steps for fit in self.fits])

    def __str__(self) -> str:
        undetermined = self.undetermined
        heading = f"{len(self):,} specimen{'s' if len(self) > 1 else ''}: "
        heading += f"{len(self) - len(self.errors):,} fitted"
        heading += f", {len(undetermined):,} with something not determined" if undetermined else ""
        heading += f", {len(self.errors):,} FAILED" if self.errors else ""
        sentences = {k: f"specimen {k} FAILED: {reason}" for k, reason in sorted(self.errors.items())}
        sentences |= {k: f"specimen {k}: {' '.join(listed)}" for k, listed in undetermined.items()}
        more = [f"... and {len(sentences) - FEW:,} more"] if len(sentences) > FEW else []
        return "\n".join([heading, *self._rows(), *list(sentences.values())[:FEW], *more])

    def _rows(self) -> list[str]:
        """Return a line per number, with the values of few specimens, or the range of many."""
        units = [u.unit for u in self.unknowns for _ in range(u.parameter[0].numel())]
        columns = zip(self.values.items(), self.standard_errors.values(), units, strict=True)
        return [f"{name} = {_summary(values, errors, unit)}" for (name, values), errors, unit in columns]

    def _by_name(self, parts: Sequence[Tensor | None]) -> dict[str, Tensor]:
        """Return what there is of each specimen, `(P,)`, as a tensor of all specimens for each name."""
        names = self.names
        lost = torch.full((len(names),), torch.nan, dtype=torch.float64)
        table = torch.stack([lost if part is None else part for part in parts])
        return dict(zip(names, table.unbind(1), strict=True))


def _summary(values: Float[Tensor, "B"], errors: Float[Tensor, "B"], unit: str) -> str:
    """Format the values of few specimens, or the range of those of many that are determined, and a median."""
    sure = errors.isfinite()
    if len(values) <= FEW or not bool(sure.any()):
        triples = zip(values.tolist(), errors.tolist(), sure.tolist(), strict=True)
        return ", ".join(
            format_measured(value, error, unit) if known else "-" for value, error, known in triples
        )
    low, middle, high = values[sure].quantile(torch.tensor([0.0, 0.5, 1.0], dtype=values.dtype)).tolist()
    median = format_measured(middle, float(errors[sure].median()), unit)
    return f"{format_measured(low, 0.0, unit)} to {format_measured(high, 0.0, unit)}, median {median}"
