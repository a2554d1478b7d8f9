"""The implicit Euler step."""

from __future__ import annotations

import torch
from torch import Tensor

from simlayer.state import State
from simlayer.steps.implicit import ImplicitStep
from simlayer.steps.incremental_potential import Scheme


class BackwardEuler(ImplicitStep):
    """Backward Euler: forces and velocities at the end of the step. First order; stable at any dt.

    It damps an oscillation of angular frequency w by a ratio of about w dt/2: use `Newmark` or `BDF2` where
    damping is the question. Arguments as for `ImplicitStep`.
    """

    history_size = 0

    history_size = 0

    @property
    def scheme(self) -> Scheme:
        return Scheme(inertia=1 / self.h**2, rate=1 / self.h)

    def free_motion(self, state: State) -> tuple[Tensor, Tensor, Tensor]:
        target = torch.add(state.positions, state.velocities, alpha=self.h)
        return target, state.velocities, state.positions
