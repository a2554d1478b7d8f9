"""The stability limit of explicit steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.forces.base import Force
from simlayer.state import State


def stable_substeps(
    forces: Sequence[Force],
    masses: Float[Tensor, "*cells"],
    state: State | None,
    contact: Float[Tensor, "*contact_batch"] | None,
) -> Float[Tensor, "*batch"]:
    """Return the longest stable substep [s] of each sample, from the eigenvalues of single elements.

    No frequency or damping of a mesh is above the highest of its elements taken one by one, each with its own
    mass alone and its part of what holds its vertices.

    Args:
        forces: of the step; those that do not know elements have bounds of zero.
        masses: of every cell over the number of its nodes [kg], `(*batch, M)`.
        state: where the tangents are taken; None: bounds at rest, cheap and no higher.
        contact: the largest stiffness of contacts over mass in each sample [1/s²], None for none.
    """
    none = torch.zeros_like(masses)
    squares = sum((force.stiffness_bound(state) / masses for force in forces), none)
    decay = sum((force.damping_bound(state) / masses for force in forces), none) / 2
    if contact is not None:
        squares = squares + contact[..., None]
    # The explicit limit (2/w) (sqrt(1 + xi²) - xi) with xi = decay/w, which holds without stiffness too.
    return 2 / (decay + (squares + decay.square()).sqrt()).amax(-1)


def contact_squares(
    forces: Sequence[Force], mobility: Float[Tensor, "*batch N"], state: State | None
) -> Float[Tensor, "*batch"]:
    """Return the largest stiffness that single vertices get from contacts, over their mass [1/s²].

    Args:
        forces: of the step.
        mobility: the inverse mass of every vertex, zero where it is fixed [1/kg].
        state: where; None: with the contacts pressed as far as they are meant to be.
    """
    stiffness = sum((force.vertex_stiffness(state) for force in forces), torch.zeros_like(mobility))
    return (stiffness * mobility).amax(-1)


def automatic_dt(stable: Float[Tensor, "*batch"]) -> float:
    """Return half of the least of some stable time steps [s], to two digits.

    Raises:
        ValueError: if nothing limits the time step.
    """
    least = float(stable.min())
    if least == float("inf"):
        raise ValueError("dt='auto' needs a force with a stiffness, such as ElasticForce; give seconds.")
    return float(f"{least / 2:.1e}")
