"""How sure a fit is: standard errors, correlations, and what the observations do not determine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simlayer.identification.least_squares import LeastSquares, Linearization
from simlayer.identification.linear_uncertainty import LinearUncertainty, linear_uncertainty
from simlayer.identification.scenes import ObservedScenes
from simlayer.identification.unknowns import Unknown

# The next step of a fit matters if it is more than the first share of a parameter's unit, and more than the
# second of its standard error.
NOTICEABLE, LARGE = 1e-4, 0.1

# A parameter is undetermined if it has a larger part than the first in the undetermined directions, or than
# the second in the invisible ones.
UNDETERMINED, INVISIBLE = 0.1, 1e-3


@dataclass(frozen=True)
class Uncertainty:
    """The uncertainty of the P parameters that a fit has found, to first order.

    Attributes:
        names: a name for each parameter; a quantity of several numbers has several.
        values: their physical values [SI].
        units: a large change of each [SI]: for a logarithm or a logit, what its change by one makes; for
            a quantity with a typical change, that; for others, its own length.
        linear: the uncertainty in these units.
    """

    names: tuple[str, ...]
    values: Float[Tensor, "P"]
    units: Float[Tensor, "P"]
    linear: LinearUncertainty

    @property
    def determined(self) -> Bool[Tensor, "P"]:
        """Which parameters are determined: to better than their unit, and apart from others."""
        unsure, unseen = (part.norm(dim=0) for part in (self.linear.undetermined, self.linear.invisible))
        return (unsure < UNDETERMINED) & (unseen < INVISIBLE) & ~(self.linear.covariance.diagonal() > 1)

    @property
    def covariance(self) -> Float[Tensor, "P P"]:
        """The covariance of the values [SI], without what they change along invisible directions."""
        return self.units[:, None] * self.linear.covariance * self.units

    @property
    def standard_errors(self) -> Float[Tensor, "P"]:
        """The standard error of each value [SI], infinite where it is not determined."""
        return torch.where(self.determined, self.covariance.diagonal().sqrt(), math.inf)

    @property
    def correlation(self) -> Float[Tensor, "P P"]:
        """The correlation matrix of the values, as for `covariance`."""
        scale = self.linear.covariance.diagonal().sqrt().clamp(min=1e-300) * self.units.sign()
        return self.linear.covariance / scale[:, None] / scale

    @property
    def next_step(self) -> float:
        """The largest part of the next step of the fit, in standard errors; 0 once it has converged."""
        steps, errors = self.linear.step.abs(), self.linear.covariance.diagonal().sqrt()
        ratios = (steps / errors)[self.determined & (steps > NOTICEABLE)]
        largest = float(ratios.max()) if len(ratios) else 0.0
        return largest if largest > LARGE else 0.0

    @property
    def effective_numbers(self) -> float:
        """How many independent numbers would tell as much as those that were observed."""
        chosen, numbers = self.determined, float(self.linear.numbers)
        if not self.linear.correlated or not bool(chosen.any()):
            return numbers
        inflated, independent = self.linear.covariance.diagonal(), self.linear.independent.diagonal()
        return numbers / float((inflated[chosen] / independent[chosen]).log().mean().exp())


def assess(problem: LeastSquares, scenes: ObservedScenes, known: Linearization | None = None) -> Uncertainty:
    """Return the uncertainty of the present values, as those of a fit to these scenes.

    It is that of `linear_uncertainty`, by the derivatives of the residuals with respect to the stored values;
    physical values have the covariance that the derivative of their map gives them (delta method). The
    loss weights the residuals by their noise, whose size is taken from the residuals themselves. What the
    model does wrong is in the residuals, too, but not its bias.

    Args:
        problem: the residuals as a function of the unknowns.
        scenes: what the unknowns were fitted to.
        known: the residuals and their Jacobian at the present values, if they have been computed.
    """
    value, jacobian, _ = problem.linearized(scenes) if known is None else known
    slopes, scales = stored_slopes(problem.unknowns), _scales(problem.unknowns)
    present = problem.loss.present(scenes.observed)
    linear = linear_uncertainty(
        value.double().cpu().flatten(2),
        (jacobian.double().cpu() * scales).flatten(2, 3),
        present.cpu().flatten(2),
        epsilon=torch.finfo(value.dtype).eps,
        influence=problem.influence(scenes),
    )
    values = torch.cat([unknown.value.double().cpu().flatten() for unknown in problem.unknowns])
    return Uncertainty(parameter_names(problem.unknowns), values, slopes * scales, linear)


def parameter_names(unknowns: Sequence[Unknown], labels: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return a name for every number of some unknowns: the unknown's own, with an index where it has many.

    With `labels` these take the places of the unknowns' names.
    """
    names = []
    for unknown in unknowns:
        count, label = unknown.parameter.numel(), (labels or {}).get(unknown.name, unknown.name)
        names += [label] if count == 1 else [f"{label}[{k}]" for k in range(count)]
    return tuple(names)


def stored_slopes(unknowns: Sequence[Unknown]) -> Float[Tensor, "P"]:
    """Return the derivative of each physical value by its stored one."""
    slopes: list[Tensor] = []
    for unknown in unknowns:
        with torch.enable_grad():
            stored = unknown.parameter.detach().double().cpu().flatten().requires_grad_()
            slopes += torch.autograd.grad(unknown.quantity.decode(stored).sum(), stored)
    return torch.cat(slopes)


def _scales(unknowns: Sequence[Unknown]) -> Float[Tensor, "P"]:
    """Return a large change of each stored value: one, but the own length of values stored as they are."""
    scales = []
    for unknown in unknowns:
        quantity, stored = unknown.quantity, unknown.parameter.detach().double().cpu().flatten()
        plain = not (quantity.positive or quantity.bounds or quantity.scale)
        length = float(stored.norm()) if plain else 1.0
        scales.append(torch.full_like(stored, length or 1.0))
    return torch.cat(scales)
