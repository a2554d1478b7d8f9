"""The function whose minimum is the end of an implicit step, or an equilibrium."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.dissipation import Dissipation
from simlayer.errors import PenetrationError
from simlayer.forces.base import Potential, RatePotential
from simlayer.solvers.block_matrix import Assembly
from simlayer.solvers.conjugate_gradients import Product
from simlayer.solvers.problem import Problem, Residual, Tangent, flattened
from simlayer.state import State
from simlayer.steps.base import Step
from simlayer.steps.mass_matrix import MassMatrix


class Motion(NamedTuple):
    """A step as far as it is known before the forces at its end are.

    Attributes:
        target: where the vertices would be without forces [m].
        drift: their velocities then [m/s].
        predicted: an explicit guess of the end of the step, as accurate as the step itself [m]; dissipation
            is evaluated there.
        held: positions of the held components at the end [m].
        constant: forces that do not follow from a potential, from the start of the step [N].
        start: positions at the start of the step [m]; what lags behind follows from them.
    """

    target: Float[Tensor, "*batch N 3"]
    drift: Float[Tensor, "*batch N 3"]
    predicted: Float[Tensor, "*batch N 3"]
    held: Float[Tensor, "*batch N 3"]
    constant: Float[Tensor, "*batch N 3"]
    start: Float[Tensor, "*batch N 3"]

    def velocities(self, positions: Float[Tensor, "*batch N 3"], rate: float) -> Float[Tensor, "*batch N 3"]:
        """Those at the end with these positions there, which change with them at a rate [1/s]."""
        return self.drift + rate * (positions - self.target)


class Terms(NamedTuple):
    """What an incremental potential is the sum of, beside inertia, gravity and constant forces.

    Attributes:
        potentials: energies of the positions.
        rates: dissipation potentials.
        dissipations: whose lagged potentials of the velocities are terms too.
        mass: how masses act.
        assembly: adds up the Hessians of those that have couplings, in this order, then the masses.
        inertia: the factor of the masses [1/s²], zero in an equilibrium.
        rate: how fast the velocities change with the positions [1/s].
        lagged_weight: the factor of lagged potentials.
    """

    potentials: Sequence[Potential]
    rates: Sequence[RatePotential]
    dissipations: Sequence[Dissipation]
    mass: MassMatrix
    assembly: Assembly
    inertia: float
    rate: float
    lagged_weight: float


class IncrementalPotential(Problem):
    """inertia/2 |x - target|²_M - weights·x + potentials(x) + dissipation potentials(velocities(x)) / rate.

    The velocities are drift + rate (x - target).

    Args:
        step: whose masses, gravity and held components are read.
        terms: of the sum.
        motion: the step so far.
    """

    def __init__(self, step: Step, terms: Terms, motion: Motion) -> None:
        self.step, self.terms, self.motion = step, terms, motion
        if not terms.inertia:
            self.reach = 1e3  # nothing else keeps a body that tears under its loads
        gravity = step.gravity[..., None, :].expand_as(motion.constant)
        self.loads = self._weighed(gravity) + motion.constant
        self.lagged = [d.lagged_potential(motion.start, step.forces) for d in terms.dissipations]

    def _weighed(self, vectors: Tensor) -> Tensor:
        return self.terms.mass.product(self.step, vectors)

    def velocities(self, positions: Tensor) -> Tensor:
        return self.motion.velocities(positions, self.terms.rate)

    def value(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        moved = positions - self.motion.target
        own = (0.5 * self.terms.inertia * self._weighed(moved) - self.loads) * moved
        total = own.sum((-1, -2))
        for potential in self.terms.potentials:
            total = total + potential.energy(positions)
        for rate in self.terms.rates:
            total = total + rate.energy(self.motion.predicted, self.velocities(positions)) / self.terms.rate
        for lagged in self.lagged:
            energy = lagged.energy(self.velocities(positions)).sum(-1)
            total = total + self.terms.lagged_weight / self.terms.rate * energy
        return total

    def balance(self, positions: Float[Tensor, "*batch N 3"]) -> Residual:
        total = self.terms.inertia * self._weighed(positions - self.motion.target) - self.loads
        momentum = self._weighed(self.motion.drift) * self.terms.inertia**0.5
        scale = torch.maximum(_mean(self.loads), _mean(momentum))
        velocities = self.velocities(positions)
        for potential in self.terms.potentials:
            force = potential(State(positions, velocities))
            total, scale = total - force, torch.maximum(scale, _mean(force))
        for rate in self.terms.rates:
            total = total - rate(State(self.motion.predicted, velocities))
        for lagged in self.lagged:
            total = total + self.terms.lagged_weight * lagged.gradient(velocities)
        return Residual(self.step.free * total, scale)

    def tangent(self, positions: Float[Tensor, "*batch N 3"], *, projected: bool) -> Tangent:
        terms, predicted = self.terms, self.motion.predicted
        velocities = self.velocities(positions)
        blocks = [
            potential.hessian_blocks(positions, projected=projected)
            for potential in terms.potentials
            if potential.couplings is not None
        ]
        blocks += [
            terms.rate * rate.hessian_blocks(predicted, velocities, projected=projected)
            for rate in terms.rates
            if rate.couplings is not None
        ]
        # Semi-definite as they are.
        blocks += [terms.lagged_weight * terms.rate * lagged.hessian(velocities) for lagged in self.lagged]
        blocks += [terms.inertia * block for block in terms.mass.blocks(self.step)]
        batch = positions.shape[:-2]
        diagonal = (terms.inertia * terms.mass.diagonal(self.step)).expand(positions.shape[:-1])
        matrix = terms.assembly(
            [_rows(part.expand(*batch, *part.shape[-3:]), 3) for part in blocks], _rows(diagonal, 1)
        )
        return Tangent(matrix, self._others(positions, velocities))

    def check_start(self, positions: Float[Tensor, "*batch N 3"]) -> None:
        """Raise PenetrationError if a contact is penetrated where the search is to begin."""
        for name, contact in self.step.contacts().items():
            distances = contact.distances(positions)
            inside = distances <= 0
            if bool(inside.any()):
                sample = tuple(inside.nonzero()[0, :-1].tolist())
                vertices = tuple(inside[sample].nonzero().flatten().tolist())
                depth = -float(distances[sample].min())
                raise PenetrationError(
                    f"contact {name!r}: the body is inside an obstacle before its step begins"
                    f"{f'; sample {sample}' if sample else ''}, {len(vertices)} vertices, the first "
                    f"{vertices[0]}, up to {depth:.3g} m deep. It starts there, or the obstacle or held "
                    "vertices move farther in one step than the two are apart: use a shorter dt.",
                    sample=sample,
                    vertices=vertices,
                    distance=-depth,
                )

    def longest_move(
        self, positions: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch"]:
        parts = [potential.longest_move(positions, direction) for potential in self.terms.potentials]
        return torch.stack(parts).amin(0) if parts else super().longest_move(positions, direction)

    def _others(self, positions: Tensor, velocities: Tensor) -> Product | None:
        """Products with the Hessians that have no blocks."""
        potentials = [p for p in self.terms.potentials if p.couplings is None]
        rates = [r for r in self.terms.rates if r.couplings is None]
        if not potentials and not rates:
            return None

        def multiply(vectors: Tensor) -> Tensor:
            direction = self.step.free * vectors.view_as(positions)
            parts = [p.hessian_product(positions, direction) for p in potentials]
            parts += [
                self.terms.rate * r.rate_product(self.motion.predicted, velocities, direction) for r in rates
            ]
            return flattened(self.step.free * sum(parts[1:], parts[0]))

        return multiply

    def describe(self, positions: Float[Tensor, "N 3"]) -> str:
        J = self.step.elements.deformation_gradient(positions).det()
        return (
            f"The smallest J = det F there is {float(J.min()):.3g}. Try a shorter dt, loads in several "
            "steps, or a finer mesh where cells are inverted."
        )


def _mean(vectors: Tensor) -> Tensor:
    """The mean length of vectors."""
    return vectors.square().sum(-1).sqrt().mean(-1)


def _rows(values: Tensor, own_axes: int) -> Tensor:
    """All samples in a row."""
    # Not -1 for the first axis, which would be anything where there are no terms.
    batch, own = values.shape[: values.ndim - own_axes], values.shape[values.ndim - own_axes :]
    return values.reshape(batch.numel(), *own)
