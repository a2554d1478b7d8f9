"""Stresses at the quadrature points of a body."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.readouts.evaluation import Simulation, evaluated
from simlayer.readouts.points import Names, cell_elements, cell_terms, matrices, points_last
from simlayer.rollout.inputs import Named
from simlayer.state import State
from simlayer.steps.base import Step


def piola_kirchhoff_stress(
    simulation: Simulation,
    state: State,
    parameters: Named | None = None,
    *,
    forces: Names = None,
) -> Float[Tensor, "*batch M Q 3 3"]:
    """Return the first Piola-Kirchhoff stress P [Pa] at the quadrature points of every cell.

    The sum over all forces that are the integral of a density over cells: elastic, viscous and active ones,
    and a user's own. `RayleighDamping` has no stress.

    Args:
        simulation: a rollout or a step.
        state: of any batch, such as the frames of a trajectory.
        parameters: quantities in place of the step's own, as for a rollout.
        forces: the name of a force, or several, to be summed; all by default.

    Raises:
        KeyError, TypeError: as from a rollout.
        ValueError: as from a rollout, or if no force has a stress, or two have different quadrature.
    """
    with evaluated(simulation, state, parameters) as (step, at):
        return _total(step, at, forces)


def cauchy_stress(
    simulation: Simulation,
    state: State,
    parameters: Named | None = None,
    *,
    forces: Names = None,
) -> Float[Tensor, "*batch M Q 3 3"]:
    """Return the Cauchy stress P Fᵀ/det F [Pa] at the quadrature points of every cell.

    Of `LinearElastic`, which is not invariant under rotation, it is symmetric for small strains only.
    Arguments and errors as for `piola_kirchhoff_stress`.
    """
    with evaluated(simulation, state, parameters) as (step, at):
        P, elements = _total(step, at, forces), cell_elements(step, forces)
        F = elements.deformation_gradient(at.positions)
        J = points_last(F.det(), elements)
        return P @ matrices(F, elements).mT / J[..., None, None]


def von_mises_stress(
    simulation: Simulation,
    state: State,
    parameters: Named | None = None,
    *,
    forces: Names = None,
) -> Float[Tensor, "*batch M Q"]:
    """Return the von Mises stress [Pa] at the quadrature points of every cell.

    Arguments and errors as for `piola_kirchhoff_stress`.
    """
    return von_mises(cauchy_stress(simulation, state, parameters, forces=forces))


def von_mises(stress: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch"]:
    """Return the von Mises stress sqrt(3/2 s:s) of Cauchy stresses, s their deviators.

    Its derivative is zero where there is no stress.
    """
    symmetric = 0.5 * (stress + stress.mT)
    mean = symmetric.diagonal(dim1=-2, dim2=-1).mean(-1)
    square = 1.5 * (symmetric - mean[..., None, None] * torch.eye(3).to(stress)).square().sum((-1, -2))
    return torch.where(square > 0, torch.where(square > 0, square, 1.0).sqrt(), 0.0)


def _total(step: Step, state: State, forces: Names) -> Float[Tensor, "*batch M Q 3 3"]:
    """Return the sum of the stresses of some forces."""
    terms = cell_terms(step, state, forces)
    if not terms:
        kinds = [type(force).__name__ for force in step.forces.values()]
        raise ValueError(f"no force of the step has a stress, got {kinds}; ElasticForce is one that has.")
    total: Tensor | float = 0.0
    for term in terms.values():
        vectors = state.velocities if term.of_velocities else state.positions
        stress = term.stress(term.elements.deformation_gradient(vectors))
        total = total + matrices(stress, term.elements)
    assert isinstance(total, Tensor)
    return total.expand(*state.positions.shape[:-2], *total.shape[-4:])
