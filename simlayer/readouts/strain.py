"""Deformation and strain at the quadrature points of a body."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.linalg.symmetric_log import symmetric_log
from simlayer.readouts.evaluation import Simulation, evaluated
from simlayer.readouts.points import Names, cell_elements, matrices
from simlayer.rollout.inputs import Named
from simlayer.state import State


def deformation_gradient(
    simulation: Simulation, state: State, parameters: Named | None = None, *, forces: Names = None
) -> Float[Tensor, "*batch M Q 3 3"]:
    """Return the deformation gradient F = dx/dX at the quadrature points of every cell.

    Args:
        simulation: a rollout or a step.
        state: of any batch, such as the frames of a trajectory.
        parameters: quantities in place of the step's own, as for a rollout.
        forces: the name of the force, or several, whose quadrature points are meant; all by default.

    Raises:
        KeyError, TypeError, ValueError: as from a rollout, or if forces have different quadrature.
    """
    with evaluated(simulation, state, parameters) as (step, at):
        elements = cell_elements(step, forces)
        return matrices(elements.deformation_gradient(at.positions), elements)


def green_strain(
    simulation: Simulation, state: State, parameters: Named | None = None, *, forces: Names = None
) -> Float[Tensor, "*batch M Q 3 3"]:
    """Return the Green strain (FᵀF - I)/2 at the quadrature points of every cell.

    Arguments and errors as for `deformation_gradient`.
    """
    F = deformation_gradient(simulation, state, parameters, forces=forces)
    # From the displacement gradient, so that a small strain keeps its digits.
    H = F - torch.eye(3).to(F)
    return 0.5 * (H + H.mT + H.mT @ H)


def logarithmic_strain(
    simulation: Simulation, state: State, parameters: Named | None = None, *, forces: Names = None
) -> Float[Tensor, "*batch M Q 3 3"]:
    """Return the logarithmic strain log(FᵀF)/2 at the quadrature points of every cell (Hencky 1928).

    Once differentiable. Arguments and errors as for `deformation_gradient`.
    """
    F = deformation_gradient(simulation, state, parameters, forces=forces)
    return 0.5 * symmetric_log(F.mT @ F)


def principal_stretches(
    simulation: Simulation, state: State, parameters: Named | None = None, *, forces: Names = None
) -> Float[Tensor, "*batch M Q 3"]:
    """Return the principal stretches at the quadrature points of every cell, ascending.

    Where two are equal, derivatives of each are those along the eigenvectors that were found; derivatives of
    symmetric functions of them are exact. Arguments and errors as for `deformation_gradient`.
    """
    F = deformation_gradient(simulation, state, parameters, forces=forces)
    return torch.linalg.eigvalsh(F.mT @ F).sqrt()
