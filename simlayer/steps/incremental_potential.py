"""The function whose minimum is the end of an implicit step, or an equilibrium."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.errors import listed
from simlayer.fem.fields import batch_first
from simlayer.forces.cell_terms import CellTerm, by_elements
from simlayer.forces.terms import Term
from simlayer.solvers.block_matrix import Assembly
from simlayer.solvers.conjugate_gradients import Product
from simlayer.solvers.problem import MinimizationProblem, Residual, Tangent, flattened
from simlayer.steps.base import Step
from simlayer.steps.broken_forces import broken_terms

# A term with its argument, its weight, and the derivative of its argument by the positions.
_TermAt = tuple[Term, Tensor, float, float]


class Scheme(NamedTuple):
    """The coefficients of an implicit scheme.

    Attributes:
        inertia: the factor of the masses [1/s²], zero in an equilibrium.
        rate: how fast the velocities at the end change with the positions there [1/s].
        end_weight: the factor of terms that act as they are at the end for the whole step.
    """

    inertia: float
    rate: float
    end_weight: float = 1.0


class StepData(NamedTuple):
    """The data of an implicit step that do not depend on its solution.

    Attributes:
        target: where the vertices would be without forces [m].
        drift: their velocities then [m/s].
        predicted: an explicit guess of the end of the step, as accurate as the step itself [m]; dissipation
            is evaluated there.
        fixed: positions of the fixed components at the end [m].
        constant: forces that do not follow from a potential, from the start of the step [N].
        start: positions at the start of the step [m]; lagged terms follow from them.
    """

    target: Float[Tensor, "*batch N 3"]
    drift: Float[Tensor, "*batch N 3"]
    predicted: Float[Tensor, "*batch N 3"]
    fixed: Float[Tensor, "*batch N 3"]
    constant: Float[Tensor, "*batch N 3"]
    start: Float[Tensor, "*batch N 3"]

    def velocities(self, positions: Float[Tensor, "*batch N 3"], rate: float) -> Float[Tensor, "*batch N 3"]:
        """Return the velocities at the end [m/s], which change with the positions there at a rate [1/s]."""
        return torch.add(self.drift, positions - self.target, alpha=rate)


class IncrementalPotential(MinimizationProblem):
    """The sum of terms of the positions x, and of terms of the velocities over their rate, less loads·x.

    The velocities are drift + rate (x - target). Where the terms are those of inertia and of the forces, the
    minimum is the end of the step.

    Args:
        step: the step, whose free components and cells are read.
        scheme: how velocities follow from positions.
        data: the step so far.
        terms: the terms of the sum.
        loads: weights and constant forces [N].
        momentum: the momentum per time that the body brings along [N], which the residual is measured by too.
        assembly: adds up the Hessians of the terms with connectivity, in the order of `by_elements`.
    """

    def __init__(
        self,
        step: Step,
        scheme: Scheme,
        data: StepData,
        terms: Sequence[Term],
        *,
        loads: Float[Tensor, "*batch N 3"],
        momentum: Float[Tensor, "*batch N 3"],
        assembly: Assembly,
    ) -> None:
        self.step, self.scheme, self.data, self.terms = step, scheme, data, terms
        self.loads, self.assembly = loads, assembly
        self.scale = torch.maximum(_mean_length(loads), _mean_length(momentum))
        if not scheme.inertia:
            self.max_displacement = 1e3  # nothing else keeps a body that tears under its loads

    def value(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        total = -(self.loads * (positions - self.data.target)).sum((-1, -2))
        for term, vectors, weight, slope in self._terms_at(positions):
            total = total + weight / slope * term.energy(vectors)
        return total

    def residual(self, positions: Float[Tensor, "*batch N 3"]) -> Residual:
        total, scale = -self.loads, self.scale
        for term, vectors, weight, _ in self._terms_at(positions):
            gradient = term.gradient(vectors)
            total = torch.add(total, gradient, alpha=weight)
            if term.sets_scale:
                scale = torch.maximum(scale, _mean_length(gradient))
        return Residual(self.step.free * total, scale)

    def evaluate(self, positions: Float[Tensor, "*batch N 3"]) -> tuple[Float[Tensor, "*batch"], Residual]:
        value, total, scale = (
            -(self.loads * (positions - self.data.target)).sum((-1, -2)),
            -self.loads,
            self.scale,
        )
        for term, vectors, weight, slope in self._terms_at(positions):
            energy, gradient = term.energy_and_gradient(vectors)
            value = torch.add(value, energy, alpha=weight / slope)
            total = torch.add(total, gradient, alpha=weight)
            if term.sets_scale:
                scale = torch.maximum(scale, _mean_length(gradient))
        return value, Residual(self.step.free * total, scale)

    def tangent(self, positions: Float[Tensor, "*batch N 3"], *, projected: bool) -> Tangent:
        batch, at = positions.shape[:-2], {id(entry[0]): entry for entry in self._terms_at(positions)}
        blocks = []
        for terms in by_elements(self.terms):
            part = _hessian_blocks([at[id(term)] for term in terms], projected=projected)
            blocks.append(part.expand(*batch, *part.shape[-3:]).reshape(batch.numel(), *part.shape[-3:]))
        return Tangent(self.assembly(blocks, batch.numel()), self._unassembled(positions))

    def feasible_fraction(
        self, positions: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch"]:
        terms = [term for term in self.terms if not term.of_velocities]
        parts = [term.feasible_fraction(positions, direction) for term in terms]
        return torch.stack(parts).amin(0) if parts else super().feasible_fraction(positions, direction)

    def not_finite(self, positions: Float[Tensor, "*batch N 3"]) -> str:
        found = broken_terms(self.step, [(term, vectors) for term, vectors, *_ in self._terms_at(positions)])
        return found or super().not_finite(positions)

    def drift(self, gradient: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        if not self.scheme.inertia:
            return super().drift(gradient)
        # Elastic forces, and their rounding, cancel in the sum over a body.
        net = gradient.sum(-2) * self.step.free.amin(-2)
        return net.abs().amax(-1) / (self.scheme.inertia * self.step.vertex_masses.sum(-1))

    def describe(self, positions: Float[Tensor, "*batch N 3"], sample: tuple[int, ...]) -> str:
        J = self.step.elements.deformation_gradient(positions).det()
        J = batch_first(J, J.ndim - len(sample))[sample]
        found = f"The smallest J = det F there is {float(J.min()):.3g}. "
        inverted = (J.view(-1, J.shape[-1]) <= 0).any(0).nonzero().flatten().tolist()
        gentler = "a shorter dt or more substeps" if self.scheme.inertia else "smaller loads"
        if inverted:
            return (
                f"{found}Cells {listed(inverted)} are inverted: try {gentler}, a finer mesh there, or a "
                "material that resists, like StableNeoHookean."
            )
        start = "" if self.scheme.inertia else " or another start, if there is an equilibrium near"
        return f"{found}No cell is inverted: try {gentler}{start}."

    def _terms_at(self, positions: Tensor) -> Iterator[_TermAt]:
        """Yield the terms, each where the positions are these."""
        rate = self.scheme.rate
        velocities = self.data.velocities(positions, rate)
        for term in self.terms:
            weight = self.scheme.end_weight if term.at_end else 1.0
            yield (term, velocities, weight, rate) if term.of_velocities else (term, positions, weight, 1.0)

    def _unassembled(self, positions: Tensor) -> Product | None:
        """Return products with the Hessians of the terms without connectivity, None if there are none."""
        terms = [entry for entry in self._terms_at(positions) if entry[0].connectivity is None]
        if not terms:
            return None

        def multiply(vectors: Tensor) -> Tensor:
            direction = self.step.free * vectors.view_as(positions)
            total = torch.zeros_like(direction)
            for term, argument, weight, slope in terms:
                total = torch.add(total, term.hessian_product(argument, direction), alpha=weight * slope)
            return flattened(self.step.free * total)

        return multiply


def _hessian_blocks(terms: Sequence[_TermAt], *, projected: bool) -> Tensor:
    """Return the weighted sum of the Hessians of terms over the same elements."""
    (first, vectors, weight, slope), *others = terms
    if not isinstance(first, CellTerm) or first.couples_points:
        return _scaled(first.hessian_blocks(vectors, projected=projected), weight * slope)
    total = _scaled(first.cell_tangents(vectors, projected=projected), weight * slope)
    for term, vectors, weight, slope in others:
        assert isinstance(term, CellTerm)
        total = torch.add(total, term.cell_tangents(vectors, projected=projected), alpha=weight * slope)
    return first.elements.stiffness_blocks(total)


def _scaled(tensor: Tensor, scale: float) -> Tensor:
    return tensor if scale == 1 else scale * tensor


def _mean_length(vectors: Tensor) -> Tensor:
    return vectors.square().sum(-1).sqrt().mean(-1)
