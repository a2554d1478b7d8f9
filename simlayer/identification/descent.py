"""The steps of the Levenberg-Marquardt method, for one fit or a batch of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simlayer.identification.normal_equations import NormalEquations
from simlayer.identification.trust_region import trust_region_step

# Fractions of the predicted reduction: a step is taken above the first; below the second the radius
# shrinks, above the third it grows (Nocedal and Wright 2006, algorithm 4.1).
TAKEN, POOR, GOOD = 1e-4, 0.25, 0.75

# Reductions by less than this share of the loss are within the simulation's own errors: where one is
# predicted and does not come about, the fit has converged.
ACCURACY = 1e-6


class Place(NamedTuple):
    """Where fits are: the values that were accepted last, and what their next steps follow from.

    Attributes:
        at: the stored values of the P parameters, in double precision.
        equations: the normal equations there.
        radius: the greatest length of the next step, in stored values.
        converged: whether no step is left to make.
    """

    at: Float[Tensor, "*batch P"]
    equations: NormalEquations
    radius: Float[Tensor, "*batch"]
    converged: Bool[Tensor, "*batch"]

    def updated(self, mask: Bool[Tensor, "*batch"], other: Place) -> Place:
        """Return these places, replaced by those of `other` where a mask of fits is true."""
        pairs = zip(other.equations, self.equations, strict=True)
        return Place(
            chosen(mask, other.at, self.at),
            NormalEquations(*(chosen(mask, new, old) for new, old in pairs)),
            chosen(mask, other.radius, self.radius),
            chosen(mask, other.converged, self.converged),
        )


@dataclass(frozen=True)
class Descent:
    """The rules by which fits step and converge, see `GaussNewton`.

    Attributes:
        trust_radius, tolerance, precision: as for `GaussNewton`.
        epsilon: the relative rounding error of the values.
    """

    trust_radius: float
    tolerance: float
    precision: float
    epsilon: float

    def begin(self, at: Float[Tensor, "*batch P"], equations: NormalEquations) -> Place:
        """Return the place where fits begin, given the values there and their normal equations."""
        radius = torch.full_like(equations.loss, self.trust_radius)
        return self._settled(Place(at, equations, radius, torch.zeros_like(radius, dtype=torch.bool)))

    def step(self, place: Place, radius: float | Tensor | None = None) -> Float[Tensor, "*batch P"]:
        """Return the step to the minimum of the linearized problem within a radius, or the place's."""
        # Jacobians lose a third of the digits in long rollouts; their squares have twice the error.
        tolerance = max(self.epsilon ** (4 / 3), 4e-15)
        radius = place.radius if radius is None else radius
        equations = place.equations
        return trust_region_step(equations.gradient, equations.curvature, radius, rank_tolerance=tolerance)

    def judge(
        self,
        place: Place,
        step: Float[Tensor, "*batch P"],
        trial: Float[Tensor, "*batch P"],
        to: NormalEquations,
    ) -> tuple[Place, Bool[Tensor, "*batch"]]:
        """Return the place after a step was tried, and for which fits it was taken.

        Args:
            place: the place before.
            step: the step.
            trial: the values to which it led.
            to: the normal equations there; a simulation that failed has an infinite loss.
        """
        loss, length, predicted = place.equations.loss, step.norm(dim=-1), place.equations.reduction(step)
        quality = (loss - to.loss) / predicted
        taken = quality > TAKEN
        far = (quality > GOOD) & (length > 0.99 * place.radius)
        radius = torch.where(far, 2 * place.radius, place.radius).where(quality >= POOR, length / 4)
        moved = place.updated(taken, Place(trial, to, radius, place.converged))
        converged = ~taken & (predicted <= ACCURACY * loss)
        return self._settled(moved._replace(radius=radius, converged=converged)), taken

    def _settled(self, place: Place) -> Place:
        """Return the place, marked as converged where the next step would be negligible."""
        tolerance, equations, step = max(self.tolerance, 10 * self.epsilon), place.equations, self.step(place)
        # k standard errors from the minimum, the sum of squares is larger by k² variances of a residual.
        left = equations.reduction(self.step(place, math.inf))
        near = left <= self.precision**2 * equations.loss / (3 * equations.number)
        short = (step.norm(dim=-1) <= tolerance) | (equations.reduction(step) <= tolerance * equations.loss)
        return place._replace(converged=place.converged | near | short)


def not_converged(steps: int, loss: float, unit: str = " m²") -> str:
    """Return what is wrong with a fit that has made so many steps, the most that it may, and its remedy."""
    return (
        f"Gauss-Newton has not converged in {steps} steps; the loss is {loss:.3g}{unit}. Start nearer to the "
        "solution, or allow more (max_steps)."
    )


def chosen(mask: Bool[Tensor, "*batch"], new: Tensor, old: Tensor) -> Tensor:
    """Return `new` where a mask of fits is true, and `old` elsewhere; `(*batch, ...)` each."""
    return new.where(mask.to(new.device)[(..., *[None] * (new.ndim - mask.ndim))], old)
