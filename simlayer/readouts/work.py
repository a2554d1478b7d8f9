"""The work on a body in single steps."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from simlayer.dissipation import Dissipation
from simlayer.forces.base import Potential, RatePotential
from simlayer.readouts.energy import kinetic_energy, momenta, weight
from simlayer.readouts.evaluation import evaluated
from simlayer.rollout.inputs import Named
from simlayer.state import State
from simlayer.steps.base import Step
from simlayer.steps.equilibrium import Equilibrium
from simlayer.steps.implicit import ImplicitStep
from simlayer.steps.internal_variables import split_history

Works = dict[str, Float[Tensor, "*batch"]]


def works(step: Step, start: State, end: State, parameters: Named) -> tuple[Works, Works]:
    """Return the work done on a body in a step, and the work that is lost to its dissipations [J].

    Args:
        step: that has led from one state to the other, without substeps.
        start: before the step, of the batch of the values too.
        end: after it.
        parameters: the values of this step, as for a rollout.
    """
    with evaluated(step, start, parameters):
        moved = end.positions - start.positions
        forces = _mean_forces(step, start, end)
        done = {name: (force * moved).sum((-1, -2)) for name, force in forces.items()}
        lost = _lost_to_dissipations(step, start, end, moved)
        lost |= {name: -done[name] for name, f in step.forces.items() if isinstance(f, RatePotential)}
        energetic = {
            name
            for name, f in step.forces.items()
            if isinstance(f, RatePotential) or (isinstance(f, Potential) and f.conservative)
        }
        others = {name: done[name] for name in step.forces if name not in energetic}
        total = sum(forces.values(), weight(step, moved))
        held = -((1 - step.free) * total * moved).sum((-1, -2))
        if not isinstance(step, Equilibrium):
            mean = 0.5 * (start.velocities + end.velocities)
            gained = momenta(step, end.velocities - start.velocities)
            held = held + ((1 - step.free) * gained * mean).sum((-1, -2))
        return others | {"fixed": held}, lost


def _mean_forces(step: Step, start: State, end: State) -> dict[str, Tensor]:
    """Return the mean over a step of every force on the vertices, by name [N]."""
    # One list after the other: forces have the internal variables of one state at a time.
    pairs = zip(step.forces, [*step.nodal_forces(start)], [*step.nodal_forces(end)], strict=True)
    return {name: (0.5 * (first + last)).expand_as(end.positions) for name, first, last in pairs}


def _lost_to_dissipations(step: Step, start: State, end: State, moved: Tensor) -> Works:
    """Return what each dissipation has taken out in a step [J]."""
    if not isinstance(step, ImplicitStep):
        forces = sum(step.nodal_forces(start), weight(step, start.positions))
        free = start.velocities + step.h * step.free * forces * step.inverse_masses[..., None]
        return _taken(step, start, free, step.h)
    lost = _taken(step, start, start.velocities, step.h / 2)
    own, _ = split_history(step, start)
    before = own._replace(velocities=step.dissipated(start, start.velocities, step.h / 2, without_term=True))
    target, drift, _ = step.free_motion(before)
    reached = drift + step.scheme.rate * (end.positions - target)
    last = _taken(step, end, reached, step.h / 2)
    for name, dissipation in step.dissipation.items():
        assert isinstance(dissipation, Dissipation)
        if dissipation.has_term:
            term = dissipation.term(start.positions, start.positions)
            force = term.gradient(reached if term.of_velocities else end.positions)
            lost[name] = (force * moved).sum((-1, -2))
        else:
            lost[name] = lost[name] + last[name]
    return lost


def _taken(step: Step, state: State, velocities: Tensor, dt: float) -> Works:
    """Return the kinetic energy that each dissipation takes when all act one after another for dt [J].

    In implicit steps those only that have no term there.
    """
    taken, energy = {}, kinetic_energy(step, step.free * velocities)
    for name, dissipation in step.dissipation.items():
        assert isinstance(dissipation, Dissipation)
        if dissipation.has_term and isinstance(step, ImplicitStep):
            continue
        velocities = dissipation(state, velocities, step.context(dt))
        after = kinetic_energy(step, step.free * velocities)
        taken[name], energy = energy - after, after
    return taken
