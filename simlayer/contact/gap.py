"""The gap between the vertices of a body and an obstacle, and the layout that it is computed in."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.autodiff.pointwise import PointwiseEnergy


class ContactGap(NamedTuple):
    """The distances of vertices from an obstacle, and what the barrier needs with them.

    Attributes:
        distance: of each vertex [m], `(K, *batch)`.
        normal: its gradient, three fields.
        ratio: the distance in activation distances, 1 where a vertex cannot touch anything.
        strength: the part of the surface of each vertex times the stiffness [N].
    """

    distance: Tensor
    normal: tuple[Tensor, ...]
    ratio: Tensor
    strength: Tensor

    def push(self, barrier: PointwiseEnergy) -> Float[Tensor, "K *batch"]:
        """Return the force on each vertex along its normal [N]."""
        return -self.strength * barrier.gradient([], [self.ratio])[0]

    def stiffness(self, barrier: PointwiseEnergy, activation_distance: float) -> Float[Tensor, "K *batch"]:
        """Return minus the derivative of the push by the distance [N/m]."""
        (slope,) = barrier.hessian_product([], [self.ratio], [torch.ones_like(self.ratio)])
        return self.strength * slope / activation_distance


def components(vectors: Float[Tensor, "*batch K 3"]) -> tuple[Tensor, ...]:
    """Return the components of vectors as three fields `(K, *batch)`."""
    # In the order in which a rollout packs them, so that a gradient is never transposed.
    return vectors.movedim((-1, -2), (0, 1)).unbind()


def vectors_of(
    scale: Float[Tensor, "K *batch"], direction: tuple[Tensor, ...]
) -> Float[Tensor, "*batch K 3"]:
    """Return the vectors of three fields, scaled."""
    return torch.stack([scale * component for component in direction]).movedim((0, 1), (-1, -2))
