"""The forces that hold a body where it is fixed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.mesh.selection import vertex_indices
from simlayer.quantities.arrays import checked_floats, checked_numbers
from simlayer.readouts.energy import momenta, weight
from simlayer.readouts.evaluation import Simulation, evaluated
from simlayer.rollout.inputs import Named
from simlayer.state import State
from simlayer.steps.base import Step
from simlayer.steps.equilibrium import Equilibrium
from simlayer.steps.mass_matrix import accelerations


class Wrench(NamedTuple):
    """A force [N] and a torque [N m]."""

    force: Float[Tensor, "*batch 3"]
    torque: Float[Tensor, "*batch 3"]


def reaction(
    simulation: Simulation,
    state: State,
    vertices: Tensor | str,
    parameters: Named | None = None,
    *,
    about: Sequence[float] | Tensor = (0.0, 0.0, 0.0),
) -> Wrench:
    """Return the total force and torque by which fixed vertices are held.

    The reaction of what holds the body on the body, see `nodal_reactions`: that of a grip which pulls along x
    is positive along x.

    Args:
        simulation: a rollout or a step.
        state: of any batch, such as the frames of a trajectory.
        vertices: the name of a vertex set, vertex indices or a mask `(N,)`; those of their components count
            that are fixed.
        parameters: quantities in place of the step's own, as for a rollout.
        about: the point that the torque is about [m], `(3,)` or `(*batch, 3)`.

    Raises:
        KeyError, TypeError: as from a rollout.
        ValueError: as from a rollout, or if none of the vertices is fixed.
    """
    with evaluated(simulation, state, parameters) as (step, at):
        chosen = vertex_indices(step.elements.mesh, vertices, name="vertices")
        if not bool((step.free[chosen] == 0).any()):
            raise ValueError(
                f"vertices: none of the {len(chosen)} is fixed, so that nothing holds them; the step has "
                f"{int((step.free == 0).any(-1).sum())} fixed vertices."
            )
        forces = _nodal_reactions(step, at)[..., chosen, :]
        return total_wrench(forces, at.positions[..., chosen, :], about)


def nodal_reactions(
    simulation: Simulation, state: State, parameters: Named | None = None
) -> Float[Tensor, "*batch N 3"]:
    """Return the forces that hold the fixed components of the vertices [N], zero for the others.

    What is left over in the balance of a fixed component when it does not accelerate: minus the sum of all
    forces and the weight, and with a consistent mass matrix what the vertices around it have of its mass.
    Friction and other dissipations are not part of it. In the state of rest of an `Equilibrium` they balance
    all loads.

    Args:
        simulation: a rollout or a step.
        state: of any batch, such as the frames of a trajectory.
        parameters: quantities in place of the step's own, as for a rollout.

    Raises:
        KeyError, TypeError, ValueError: as from a rollout.
    """
    with evaluated(simulation, state, parameters) as (step, at):
        return _nodal_reactions(step, at)


def total_wrench(
    forces: Float[Tensor, "*batch K 3"], positions: Float[Tensor, "*batch K 3"], about: Any
) -> Wrench:
    """Return the sum of forces that act at positions, and of their torques about a point."""
    arms = positions - checked_point("about", about, positions)[..., None, :]
    return Wrench(forces.sum(-2), torch.linalg.cross(arms, forces).sum(-2))


def checked_point(name: str, point: Any, like: Tensor) -> Float[Tensor, "*batch 3"]:
    """Return a point, or one for each sample.

    Args:
        name: what it is called, for messages.
        point: three numbers, or a tensor `(3,)` or `(*batch, 3)`.
        like: vectors `(*batch, N, 3)`.

    Raises:
        TypeError: if it holds no numbers.
        ValueError: if it is of another shape.
    """
    own = isinstance(point, Tensor) and point.is_floating_point()
    found = (checked_floats if own else checked_numbers)(name, point).to(like)
    shape, batch = found.shape, like.shape[:-2]
    pairs = zip(reversed(shape[:-1]), reversed(batch), strict=False)
    if shape[-1:] != (3,) or len(shape) > len(batch) + 1 or any(a not in (1, b) for a, b in pairs):
        raise ValueError(
            f"{name} must be a point (3,), or one for each sample of a batch {tuple(batch)}, got shape "
            f"{tuple(shape)}."
        )
    return found


def _nodal_reactions(step: Step, state: State) -> Float[Tensor, "*batch N 3"]:
    total = sum(step.nodal_forces(state), weight(step, state.positions))
    if step.consistent_mass and not isinstance(step, Equilibrium):
        total = total - momenta(step, accelerations(step, total, consistent=True))
    return -(1 - step.free) * total
