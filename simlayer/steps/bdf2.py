"""The implicit step of second-order backward differences."""

from __future__ import annotations

import torch
from torch import Tensor

from simlayer.dissipation import MassDamping
from simlayer.forces.terms import Term
from simlayer.state import State
from simlayer.steps.implicit import ImplicitStep
from simlayer.steps.incremental_potential import Scheme, StepData
from simlayer.steps.mass_matrix import MassProportionalDamping, mass_matrices


class BDF2(ImplicitStep):
    """Second-order backward differences (Curtiss, Hirschfelder 1952): damps what the step does not resolve.

    Second order and stable at any dt. It carries positions and velocities of the step before, which at the
    start are those of constant acceleration. `MassDamping` is a term of its potential: a map that changes
    velocities between two steps would contradict those of the step before. Arguments as for `ImplicitStep`.

    Raises:
        ValueError: if a dissipation is such a map, like `SmoothVelocityClamp`.
    """

    order = 2
    history_size = 2

    def terms(self, target: Tensor, start: Tensor, predicted: Tensor) -> list[Term]:
        found = super().terms(target, start, predicted)
        for name, dissipation in self.dissipation.items():
            if isinstance(dissipation, MassDamping):
                masses = mass_matrices(self, consistent=self.consistent_mass)
                found += [MassProportionalDamping(mass, dissipation.coefficient) for mass in masses]
            elif not dissipation.has_term:
                raise ValueError(
                    f"BDF2 cannot apply the dissipation {name!r}, {type(dissipation).__name__}, which has no "
                    "term and changes velocities between steps: take Newmark or BackwardEuler."
                )
        return found

    def dissipated(
        self, state: State, velocities: Tensor, dt: float, *, without_term: bool = False
    ) -> Tensor:
        # Every dissipation is a term.
        return velocities if without_term else super().dissipated(state, velocities, dt)

    @property
    def scheme(self) -> Scheme:
        return Scheme(inertia=9 / (4 * self.h**2), rate=3 / (2 * self.h))

    def start(self, state: State) -> State:
        if state.history:
            return state
        h, at_end = self.h, self.end_accelerations(state.positions, state)
        acceleration = self.accelerations(state) + at_end
        past = state.positions - h * state.velocities + 0.5 * h**2 * acceleration
        return state._replace(history=(past, state.velocities - h * acceleration))

    def free_motion(self, state: State) -> tuple[Tensor, Tensor, Tensor]:
        positions, velocities = state.history
        drift = torch.lerp(velocities, state.velocities, 4 / 3)
        target = torch.add(torch.lerp(positions, state.positions, 4 / 3), drift, alpha=1 / self.scheme.rate)
        # A parabola through both positions with the velocity between them.
        between = torch.lerp(velocities, state.velocities, 1.5)
        predicted = torch.add(state.positions, between, alpha=self.h)
        return target, drift, predicted

    def history(self, state: State, data: StepData, positions: Tensor) -> tuple[Tensor, ...]:
        return state.positions, state.velocities
