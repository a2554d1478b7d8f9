"""The explicit step."""

from __future__ import annotations

import torch

from simlayer.state import State
from simlayer.steps.base import Step


class SymplecticEuler(Step):
    """Symplectic Euler: velocities from the forces at the start, positions from the new velocities.

    First order, with an energy error that stays bounded, and stable up to `stable_dt`.
    Arguments as for `Step`.
    """

    history_size = 0

    def substep(self, state: State) -> State:
        h = self.h
        # In fused operators, of which an uncompiled step should have few.
        velocities = torch.add(state.velocities, self.gravity_field, alpha=h)
        for forces in self.nodal_forces(state):
            velocities = torch.addcmul(velocities, forces, self.inverse_masses[..., None], value=h)
        velocities = self.dissipated(state, velocities, h)
        velocities = torch.addcmul(self.fixed_velocities, self.free, velocities)
        return State(torch.add(state.positions, velocities, alpha=h), velocities, state.history)
