"""What rounding leaves of a residual, and when iterations that only follow it end."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simlayer.solvers.problem import Tangent, flattened, largest

# How much larger a component may be than the rounding of positions makes it: sums round too.
_MARGIN = 4
# So many corrections at this level without a shorter one are no progress.
_PATIENCE = 2


def rounding_level(tangent: Tangent, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
    """Return how large each component of a gradient may be by rounding alone.

    Positions are rounded by eps |x|, and so a gradient, however it is computed, by eps |H| |x|: where a body
    is stiff, or far from the origin for its size, that is more than the loads on it, and no iteration gets
    below.
    """
    places = flattened(positions).to(tangent.matrix.values).abs()
    matrix = tangent.matrix._replace(values=tangent.matrix.values.abs())
    level = matrix.multiplication()(places)
    if tangent.others is not None:
        # Of what is not assembled only products are known: signs that alternate keep most of the sum.
        signs = torch.ones_like(places)
        signs[:, ::2] = -1
        level = level + tangent.others(signs * places).abs()
    return (_MARGIN * torch.finfo(positions.dtype).eps * level).view_as(positions).to(positions)


class Corrections:
    """Newton's steps, of which it follows when they are rounding and no longer corrections.

    That a residual is no more than rounding is not enough: what little of it moves the body as a whole may
    still be right, and each correction makes it better. As in iterative refinement (Demmel et al. 2006),
    there is no progress where corrections get no shorter; unless they go on in one direction, by more than
    positions are rounded.
    """

    def __init__(self, start: Float[Tensor, "*batch N 3"]) -> None:
        self.last = torch.zeros_like(start)
        self.shortest, self.idle = (start.new_full(start.shape[:-2], value) for value in (torch.inf, 0.0))
        self.resolution = 2 * _MARGIN * torch.finfo(start.dtype).eps * largest(start)

    def exhausted(
        self, direction: Float[Tensor, "*batch N 3"], at_rounding: Bool[Tensor, "*batch"], *, by_hessian: bool
    ) -> Bool[Tensor, "*batch"]:
        """Return in which samples one more correction shows that no other one helps."""
        length = largest(direction)
        squares = direction.square().sum((-1, -2)) * self.last.square().sum((-1, -2))
        onwards = (direction * self.last).sum((-1, -2)) > 0.5 * squares.sqrt()
        onwards = onwards & (length > self.resolution)
        if by_hessian:  # other directions say little by their length
            self.idle = self.idle + (at_rounding & ~onwards & ~(length <= self.shortest / 2))
        self.shortest, self.last = torch.minimum(self.shortest, length), direction
        return at_rounding & (self.idle >= _PATIENCE)
