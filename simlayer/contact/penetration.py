"""The error of a body inside an obstacle: one text, whatever kind of step meets it."""

from __future__ import annotations

import math

from torch import Tensor

from simlayer.errors import PenetrationError, first_index, listed


def penetration_error(
    name: str,
    what: str,
    remedy: str,
    *,
    wrong: Tensor,
    distances: Tensor,
    numbers: str = "",
    after: int = 0,
    approach: float = math.nan,
    dt: float | None = None,
    stiffness: float | None = None,
) -> PenetrationError:
    """Return the error about the first sample in which any vertex is wrong.

    Args:
        name: the name of the contact.
        what: what is wrong with the body, after "the body".
        remedy: what to do, a whole sentence.
        wrong: which vertices are wrong, `(*batch, N)`.
        distances: the distance of each vertex to the obstacle [m], `(*batch, N)`.
        numbers: what else the message says of the vertices.
        after, approach, dt, stiffness: the error's `step`, `approach` and suggestions.
    """
    sample = first_index(wrong)[:-1]
    vertices = tuple(wrong[sample].nonzero().flatten().tolist())
    distance = float(distances[sample][wrong[sample]].min())
    return PenetrationError(
        f"contact {name!r}: the body {what}; {f'sample {sample}, ' if sample else ''}vertices "
        f"{listed(vertices)}, distance {distance:.3g} m{numbers}. {remedy}",
        step=after,
        sample=sample,
        vertices=vertices,
        distance=distance,
        approach=approach,
        suggested_dt=dt,
        suggested_stiffness=stiffness,
    )


def what_touches(distance: float) -> str:
    """Return how a body is that begins at a distance that is not positive [m]."""
    return "touches an obstacle exactly" if distance == 0 else "is inside an obstacle"


def move_apart(distance: float, activation_distance: float) -> str:
    """Return what to do about a body that begins at a distance that is not positive [m]."""
    gap = activation_distance
    return (
        f"It begins there: move the two apart by {gap - distance:.2g} m, so that a gap of the activation "
        f"distance, {gap:g} m, is left between them; the barrier is infinite where they touch."
    )
