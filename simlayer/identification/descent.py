"""The way of the Levenberg-Marquardt method to a minimum, of one fit or of a batch of them."""

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
    """Where fits are on their way: the values accepted last, and what the next step follows from.

    Attributes:
        at: the values, in double precision.
        equations: the normal equations there.
        radius: how far a step may go.
        converged: whether no step is left to make.
    """

    at: Float[Tensor, "*batch P"]
    equations: NormalEquations
    radius: Float[Tensor, "*batch"]
    converged: Bool[Tensor, "*batch"]

    def updated(self, mask: Bool[Tensor, "*batch"], other: Place) -> Place:
        """Return the places of another where a mask is true, and these elsewhere."""
        pairs = zip(other.equations, self.equations, strict=True)
        return Place(
            chosen(mask, other.at, self.at),
            NormalEquations(*(chosen(mask, new, old) for new, old in pairs)),
            chosen(mask, other.radius, self.radius),
            chosen(mask, other.converged, self.converged),
        )


@dataclass(frozen=True)
class Descent:
    """The rules of the way, see `GaussNewton`.

    Attributes:
        trust_radius, tolerance, precision: as for `GaussNewton`.
        epsilon: the relative rounding error of the values.
    """

    trust_radius: float
    tolerance: float
    precision: float
    epsilon: float

    def begin(self, at: Float[Tensor, "*batch P"], equations: NormalEquations) -> Place:
        """Return the place where fits begin."""
        radius = torch.full_like(equations.loss, self.trust_radius)
        return self._settled(Place(at, equations, radius, torch.zeros_like(radius, dtype=torch.bool)))

    def step(self, place: Place, radius: float | Tensor | None = None) -> Float[Tensor, "*batch P"]:
        """Return the step to the minimum of the linearized problem within a radius, that of the place."""
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
        """Return the place after a step was tried, and whether the step was taken.

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
        """Return a place that has converged where the next step would be negligible."""
        tolerance, equations, step = max(self.tolerance, 10 * self.epsilon), place.equations, self.step(place)
        # So many standard errors away, the sum of squares is larger by their square times its mean square.
        left = equations.reduction(self.step(place, math.inf))
        near = left <= self.precision**2 * equations.loss / (3 * equations.number)
        short = (step.norm(dim=-1) <= tolerance) | (equations.reduction(step) <= tolerance * equations.loss)
        return place._replace(converged=place.converged | near | short)


def chosen(mask: Bool[Tensor, "*batch"], new: Tensor, old: Tensor) -> Tensor:
    """Return the new where a mask of fits is true, and the old elsewhere; `(*batch, ...)` each."""
    return new.where(mask.to(new.device)[(..., *[None] * (new.ndim - mask.ndim))], old)
