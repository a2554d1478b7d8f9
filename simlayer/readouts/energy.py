"""Energies and powers of a body."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from simlayer.forces.base import Potential
from simlayer.readouts.evaluation import Simulation, evaluated
from simlayer.rollout.inputs import Named
from simlayer.state import State
from simlayer.steps.base import Step
from simlayer.steps.mass_matrix import mass_matrices, weighed


@dataclass(frozen=True)
class Energies:
    """The energies of a body [J].

    Attributes:
        kinetic: of the velocities, with the mass matrix of the step.
        gravitational: minus the work of the weight since the origin.
        potentials: of each force that has an energy, by name. That of a dead load is minus its work since the
            origin.
    """

    kinetic: Float[Tensor, "*batch"]
    gravitational: Float[Tensor, "*batch"]
    potentials: dict[str, Float[Tensor, "*batch"]]

    @property
    def total(self) -> Float[Tensor, "*batch"]:
        """The sum of all [J]."""
        return sum(self.potentials.values(), self.kinetic + self.gravitational)


def energies(simulation: Simulation, state: State, parameters: Named | None = None) -> Energies:
    """Return the kinetic, gravitational and potential energies of a body.

    Args:
        simulation: a rollout or a step.
        state: of any batch, such as the frames of a trajectory.
        parameters: quantities in place of the step's own, as for a rollout.

    Raises:
        KeyError, TypeError, ValueError: as from a rollout.
    """
    with evaluated(simulation, state, parameters) as (step, at):
        x, shape = at.positions, at.positions.shape[:-2]
        potentials = {
            name: force.energy(x).expand(shape)
            for name, force in step.forces.items()
            if isinstance(force, Potential) and force.conservative
        }
        return Energies(
            kinetic_energy(step, at.velocities).expand(shape),
            -(weight(step, x) * x).sum((-1, -2)).expand(shape),
            potentials,
        )


def powers(
    simulation: Simulation, state: State, parameters: Named | None = None
) -> dict[str, Float[Tensor, "*batch"]]:
    """Return the power that each force has on the moving body [W], by name; negative where it takes energy.

    Arguments and errors as for `energies`.
    """
    with evaluated(simulation, state, parameters) as (step, at):
        v = at.velocities
        return {
            name: (force * v).sum((-1, -2))
            for name, force in zip(step.forces, step.nodal_forces(at), strict=True)
        }


def kinetic_energy(step: Step, velocities: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
    """Return the kinetic energy of velocities with the mass matrix that a step has now [J]."""
    return 0.5 * (momenta(step, velocities) * velocities).sum((-1, -2))


def momenta(step: Step, velocities: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
    """Return the mass matrix that a step has now times velocities [kg m/s]."""
    return weighed(mass_matrices(step, consistent=step.consistent_mass), velocities)


def weight(step: Step, like: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
    """Return the weight that each vertex of a step has now [N], for as many samples as `like` has."""
    return momenta(step, step.gravity_field.expand_as(like))
