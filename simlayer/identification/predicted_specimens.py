"""What a network predicts of the quantities of many specimens: a Gaussian of the stored values of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.identification.identified_specimens import SpecimenUnknown
from simlayer.identification.uncertainty import parameter_names, stored_slopes
from simlayer.identification.unknowns import Unknown


@dataclass(frozen=True)
class PredictedSpecimens:
    """The predicted values of quantities of B specimens, and how sure the network is of them.

    Attributes:
        unknowns: the quantities, with the predicted value for each specimen.
        covariance: that of the P stored values of each, in double precision.
    """

    unknowns: tuple[SpecimenUnknown, ...]
    covariance: Float[Tensor, "B P P"]

    def __len__(self) -> int:
        return len(self.covariance)

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each of the P numbers of a specimen."""
        return tuple(self.values)

    @property
    def stored(self) -> Float[Tensor, "B P"]:
        """The predicted stored values, the means of the Gaussians."""
        return torch.cat([u.stored.double().cpu().reshape(len(self), -1) for u in self.unknowns], 1)

    @property
    def values(self) -> dict[str, Float[Tensor, "B"]]:
        """The values by name [SI]."""
        return values_by_name(self.unknowns)

    @property
    def standard_errors(self) -> dict[str, Float[Tensor, "B"]]:
        """The standard errors by name [SI], to first order those of the stored values (delta method)."""
        slopes = torch.cat([stored_slopes([u]).reshape(len(self), -1) for u in self.unknowns], 1)
        errors = slopes.abs() * self.deviations
        return dict(zip(self.names, errors.unbind(1), strict=True))

    @property
    def deviations(self) -> Float[Tensor, "B P"]:
        """The standard deviations of the stored values."""
        return self.covariance.diagonal(dim1=1, dim2=2).sqrt()

    @property
    def correlation(self) -> Float[Tensor, "B P P"]:
        """The correlation matrix of the stored values of each specimen."""
        return self.covariance / self.deviations[:, :, None] / self.deviations[:, None, :]

    def coverage(self, truth: Float[Tensor, "B P"], deviations: float) -> Float[Tensor, "P"]:
        """Return the share of specimens whose true stored values are within so many standard deviations.

        Of a Gaussian 68 % are within one, and 95 % within two.
        """
        return ((truth - self.stored).abs() <= deviations * self.deviations).double().mean(0)


def specimen_unknowns(
    unknowns: Sequence[Unknown], stored: Float[Tensor, "B P"]
) -> tuple[SpecimenUnknown, ...]:
    """Return quantities with the stored values of each of B specimens."""
    shapes = [u.parameter.shape or (1,) * u.quantity.own_axes for u in unknowns]
    parts = stored.split([math.prod(shape) for shape in shapes], 1)
    return tuple(
        SpecimenUnknown(u.name, u.module, u.quantity, part.to(u.parameter.dtype).reshape(-1, *shape))
        for u, shape, part in zip(unknowns, shapes, parts, strict=True)
    )


def values_by_name(unknowns: Sequence[SpecimenUnknown]) -> dict[str, Float[Tensor, "B"]]:
    """Return the physical values of the P numbers of specimens by name [SI], in double precision."""
    values = torch.cat([u.value.double().cpu().flatten(1) for u in unknowns], 1)
    return dict(zip(parameter_names([u.of(0) for u in unknowns]), values.unbind(1), strict=True))
