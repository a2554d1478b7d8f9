"""The part of a move that keeps points outside an obstacle, from its distance alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

# The part of each point's distance that is left where its move ends.
_LEFT = 0.1
# After so many steps the move of a point that slides along something near ends where it is.
_MOST_STEPS = 200


def conservative_advancement(
    distances: Callable[[Tensor], Tensor],
    points: Float[Tensor, "*batch K 3"],
    direction: Float[Tensor, "*batch K 3"],
) -> Float[Tensor, "*batch"]:
    """Return the part of a move, at most 1, on which every point keeps a tenth of its distance.

    A distance changes no faster than its point moves (Mirtich 1996), so a point may always advance by what is
    left of it: in one step straight at a wall, in several along it. Nothing is passed through.

    Args:
        distances: maps points to their distances `(*batch, K)` [m], positive where the move begins.
        points: where the move begins [m].
        direction: the whole move [m].
    """
    speed = direction.square().sum(-1).sqrt().clamp(min=torch.finfo(points.dtype).tiny)
    here = distances(points)
    keep = _LEFT * here
    part, going = torch.zeros_like(here), torch.ones_like(here, dtype=torch.bool)
    for _ in range(_MOST_STEPS):
        part = torch.where(going, part + (here - keep) / speed, part)
        here = distances(points + part.clamp(max=1.0)[..., None] * direction)
        # A point that has come this near is not worth more steps, which would become ever shorter.
        going = (part < 1) & (here > 2 * keep)
        if not bool(going.any()):
            break
    return part.clamp(max=1.0).amin(-1)
