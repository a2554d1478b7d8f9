"""The explicit step."""

from __future__ import annotations

from simlayer.state import State
from simlayer.steps.base import Step


class SymplecticEuler(Step):
    """Symplectic Euler: velocities from the forces at the start, positions from the new velocities.

    First order, with an energy error that stays bounded, and stable up to `stable_dt`.
    Arguments as for `Step`.
    """

    def substep(self, state: State) -> State:
        h = self.dt / self.substeps
        velocities = state.velocities + h * self.gravity[..., None, :]
        for force in self.forces.values():
            velocities = velocities + h * (force(state) * self.inverse_masses[..., None])
        for dissipation in self.dissipation.values():
            velocities = dissipation(state, velocities, h, self.forces)
        velocities = self.free * velocities + self.held_velocities
        return State(state.positions + h * velocities, velocities, state.history)
