"""What a body is as a whole: its volume, centre of mass and momenta."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.fem.enclosed_volume import EnclosedVolume
from simlayer.fem.surface import facets_within
from simlayer.mesh.mesh import MeshError
from simlayer.mesh.selection import vertex_indices
from simlayer.readouts.energy import momenta
from simlayer.readouts.evaluation import Simulation, evaluated, step_of
from simlayer.readouts.reaction import checked_point
from simlayer.rollout.inputs import Named
from simlayer.state import State


def volume(simulation: Simulation, state: State, parameters: Named | None = None) -> Float[Tensor, "*batch"]:
    """Return the volume of a body [m³], the integral of det F over its rest shape.

    Args:
        simulation: a rollout or a step.
        state: of any batch, such as the frames of a trajectory.
        parameters: quantities in place of the step's own, as for a rollout.

    Raises:
        KeyError, TypeError, ValueError: as from a rollout.
    """
    with evaluated(simulation, state, parameters) as (step, at):
        return step.elements.integrate(step.elements.deformation_gradient(at.positions).det())


def cavity_volume(simulation: Simulation, state: State, surface: Tensor | str) -> Float[Tensor, "*batch"]:
    """Return the volume of a closed cavity [m³], exact for the shape of its faces.

    Args:
        simulation: a rollout or a step.
        state: of any batch, such as the frames of a trajectory.
        surface: the vertices of its inner surface: the name of a vertex set, indices or a mask `(N,)`.

    Raises:
        TypeError: if the state does not fit.
        ValueError: if there are no such faces, or they do not close, or enclose the body and not a cavity.
    """
    mesh = step_of(simulation).elements.mesh
    enclosed = EnclosedVolume(
        mesh, facets_within(mesh, vertex_indices(mesh, surface, name="surface"), "faces")
    )
    with evaluated(simulation, state, None) as (_, at):
        found = enclosed.to(at.positions)(at.positions)
    if bool((found <= 0).all()):
        raise MeshError(
            f"{mesh.source}: surface must enclose a cavity, got faces around the body: choose the vertices "
            "of the inner surface only."
        )
    return found


def centre_of_mass(
    simulation: Simulation, state: State, parameters: Named | None = None
) -> Float[Tensor, "*batch 3"]:
    """Return the centre of mass of a body with what is attached to it [m].

    Arguments and errors as for `volume`.
    """
    with evaluated(simulation, state, parameters) as (step, at):
        moments = momenta(step, at.positions)
        return moments.sum(-2) / momenta(step, torch.ones_like(at.positions)).sum(-2)


def momentum(
    simulation: Simulation, state: State, parameters: Named | None = None
) -> Float[Tensor, "*batch 3"]:
    """Return the linear momentum of a body with what is attached to it [kg m/s].

    Arguments and errors as for `volume`.
    """
    with evaluated(simulation, state, parameters) as (step, at):
        return momenta(step, at.velocities).sum(-2)


def angular_momentum(
    simulation: Simulation,
    state: State,
    parameters: Named | None = None,
    *,
    about: Sequence[float] | Tensor = (0.0, 0.0, 0.0),
) -> Float[Tensor, "*batch 3"]:
    """Return the angular momentum of a body with what is attached to it, about a point [kg m²/s].

    Arguments and errors as for `volume`, and:

    Args:
        about: the point [m], `(3,)` or `(*batch, 3)`.
    """
    with evaluated(simulation, state, parameters) as (step, at):
        arms = at.positions - checked_point("about", about, at.positions)[..., None, :]
        return torch.linalg.cross(arms, momenta(step, at.velocities)).sum(-2)
