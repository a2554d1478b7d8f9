"""The longest stable time step of explicit steps: its formula, and the error of a step beyond it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.errors import UnstableStepError, first_index
from simlayer.forces.base import Force
from simlayer.state import State

# What is suggested in place of an unstable time step, over the stable one.
_MARGIN = 0.9


def stable_dts(
    forces: Iterable[Force], masses: Tensor, state: State | None, contact: Tensor | None
) -> Float[Tensor, "*batch"]:
    """Return the longest stable dt [s] of each sample, from the eigenvalues of single elements.

    No frequency or damping of a mesh is above the highest of its elements taken one by one, each with its own
    mass alone and its part of what fixes its vertices.

    Args:
        forces: the forces.
        masses: the mass per node of each element [kg].
        state: where; at rest without.
        contact: the largest stiffness of contacts over mass [1/s²].
    """
    none, forces = torch.zeros_like(masses), list(forces)
    squares = sum((force.stiffness_bound(state) / masses for force in forces), none)
    decay = sum((force.damping_bound(state) / masses for force in forces), none) / 2
    if contact is not None:
        squares = squares + contact[..., None]
    # The explicit limit (2/w) (sqrt(1 + xi²) - xi) with xi = decay/w, which holds without stiffness too.
    return 2 / (decay + (squares + decay.square()).sqrt()).amax(-1)


def half_stable_dt(stable: float) -> float:
    """Return half of a stable dt [s], rounded to two digits; raises ValueError if any dt is stable."""
    if stable == float("inf"):
        raise ValueError("dt='auto' needs a force with a stiffness, such as ElasticForce; give seconds.")
    return float(f"{stable / 2:.1e}")


def check_stable(
    stable: Float[Tensor, "*batch"], *, dt: float, substeps: int, given: str, remedy: str = ""
) -> None:
    """Raise UnstableStepError if dt is beyond the stable one of any sample.

    Args:
        stable: the longest stable dt of each sample [s].
        dt, substeps: of the step.
        given: under which conditions, for the message.
        remedy: what else helps, for the message.
    """
    wrong = stable < dt
    if not bool(wrong.any()):
        return
    sample, limit = first_index(wrong), float(stable.min())
    suggested_dt, suggested_substeps = _MARGIN * limit, int(substeps * dt / (_MARGIN * limit)) + 1
    raise UnstableStepError(
        f"dt = {dt:g} s{in_substeps(substeps)} is beyond the stable time step"
        f"{f' of sample {sample}' if sample else ''}, {limit:.3g} s {given}; use dt <= {suggested_dt:.2g}, "
        f"or substeps >= {suggested_substeps}{remedy}.",
        sample=sample,
        stable_dt=limit,
        suggested_dt=suggested_dt,
        suggested_substeps=suggested_substeps,
    )


def in_substeps(substeps: int) -> str:
    """Return how many substeps a step has, for a message; nothing for a single one."""
    return f" in {substeps} substeps" if substeps > 1 else ""
