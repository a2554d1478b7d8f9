"""Moves of points beside an obstacle: what part of them is free, and whether they go through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# The part of each point's distance that is left where its move ends.
_LEFT = 0.1
# After so many steps the move of a point that slides along something near ends where it is.
_MOST_STEPS = 200
# The finest stride of a search along a way, over the activation distance.
_RESOLUTION = 0.01
# Normals at both ends whose product is below this are those of opposite sides.
_OPPOSITE = -0.1


class Passage(NamedTuple):
    """Straight ways of points that go through an obstacle.

    Attributes:
        wrong: which points go through.
        depth: how deep the way is at most [m].
        share: the part of the way that is resolved: a step as much shorter neither passes nor cuts as deep.
    """

    wrong: Bool[Tensor, "*batch K"]
    depth: Float[Tensor, "*batch K"]
    share: Float[Tensor, "*batch K"]


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


def passage(
    distances: Callable[[Tensor], Tensor],
    normals: Callable[[Tensor], Tensor],
    start: Float[Tensor, "*batch K 3"],
    end: Float[Tensor, "*batch K 3"],
    activation_distance: float,
) -> Passage | None:
    """Return which straight ways go through an obstacle, None if there are none.

    A way that begins and ends outside goes through if it leads to the opposite side, or deeper than the
    activation distance. One that is less deep only cuts a corner or a curve that its point slid around.

    Args:
        distances: maps points to their distances `(*batch, K)` [m].
        normals: maps points to the gradients of their distances.
        start, end: the ends of each way [m]; ways that begin or end inside are passed over.
        activation_distance: the distance from which on contact acts [m].
    """
    length = (end - start).square().sum(-1).sqrt()
    here, last = distances(start), distances(end)
    # A distance changes no faster than its point moves, which leaves few ways to follow.
    going = (here > 0) & (last > 0) & (here + last <= length)
    if not bool(going.any()):
        return None
    done, inside, depth = (torch.zeros_like(length) for _ in range(3))
    least = _RESOLUTION * activation_distance
    while bool(going.any()):
        # Inside in halves, to come near the deepest point.
        stride = torch.where(here > 0, here, -0.5 * here).clamp(min=least)
        stride = torch.where(going, torch.minimum(stride, length - done), 0.0)
        inside = inside + torch.where(here <= 0, stride, 0.0)
        done = done + stride
        here = distances(start + (done / length.clamp(min=least))[..., None] * (end - start))
        depth = torch.maximum(depth, torch.where(going, -here, 0.0))
        left = length - done
        going = going & (left > 0) & (here + last <= left)
    opposite = (normals(start) * normals(end)).sum(-1) < _OPPOSITE
    wrong = (depth > 0) & (opposite | (depth > activation_distance))
    if not bool(wrong.any()):
        return None
    # The depth of a cut goes with the square of its length; a way of half the part inside ends inside.
    resolved = torch.minimum(length * (0.5 * activation_distance / depth).sqrt(), 0.5 * inside)
    share = resolved.clamp(min=0.1 * activation_distance) / length
    return Passage(wrong, depth, torch.where(wrong, share, 1.0))
