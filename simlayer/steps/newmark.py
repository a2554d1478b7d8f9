"""The implicit step of average acceleration."""

from __future__ import annotations

import torch
from torch import Tensor

from simlayer.state import State
from simlayer.steps.implicit import ImplicitStep
from simlayer.steps.incremental_potential import Scheme, StepData

# Average acceleration: the only pair that is unconditionally stable, second order and free of damping.
BETA, GAMMA = 0.25, 0.5


class Newmark(ImplicitStep):
    """Newmark's step with average acceleration (Newmark 1959, beta = 1/4, gamma = 1/2).

    Second order, stable at any dt, and without numerical damping. It carries the acceleration from one step
    to the next. Contact and friction are no part of that: they act as they are at the end, for the whole
    step, to first order (Kane, Repetto, Ortiz, Marsden 1999). As an average of both ends, contact would gain
    energy at every bounce, and friction would ring where it sticks; so both take energy out, less in shorter
    steps. Arguments as for `ImplicitStep`.
    """

    order = 2
    history_size = 1

    @property
    def scheme(self) -> Scheme:
        return Scheme(1 / (BETA * self.h**2), GAMMA / (BETA * self.h), end_weight=1 / GAMMA)

    def start(self, state: State) -> State:
        return state if state.history else state._replace(history=(self.accelerations(state),))

    def free_motion(self, state: State) -> tuple[Tensor, Tensor, Tensor]:
        h, (acceleration,) = self.h, state.history
        coasted = torch.add(state.positions, state.velocities, alpha=h)
        target = torch.add(coasted, acceleration, alpha=h**2 * (0.5 - BETA))
        drift = torch.add(state.velocities, acceleration, alpha=h * (1 - GAMMA))
        return target, drift, torch.add(coasted, acceleration, alpha=0.5 * h**2)

    def history(self, state: State, data: StepData, positions: Tensor) -> tuple[Tensor, ...]:
        inertia, rate, end_weight = self.scheme
        at_end = self.end_accelerations(data.start, State(positions, data.velocities(positions, rate)))
        moved = torch.where(self.free > 0, positions - data.target, 0.0)
        return (torch.add(-at_end * end_weight, moved, alpha=inertia),)
