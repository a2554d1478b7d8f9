"""Checks that a body starts outside an obstacle, and that the two are of a plausible scale."""

from __future__ import annotations

import math
import warnings

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.contact.penetration import move_apart, what_touches
from simlayer.errors import ImplausibleWarning, listed
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.named import NamedTensors

# An activation distance of more than this part of the body's size would hold it up in the air.
_LARGEST = 0.25
# The least activation distance is ten times this many roundings of positions.
_ROUNDINGS = 100


def over_samples(positions: Float[Tensor, "*batch N 3"], obstacle: nn.Module) -> Float[Tensor, "*_ N 3"]:
    """Return positions expanded over the samples that the quantities of an obstacle have values for."""
    shapes = [
        entry.quantity.stored(entry.module).shape[: -entry.quantity.own_axes]
        for entry in NamedTensors(obstacle).quantities.values()
    ]
    return positions.expand(*torch.broadcast_shapes(positions.shape[:-2], *shapes), *positions.shape[-2:])


def check_placement(
    positions: Float[Tensor, "*batch N 3"], distances: Float[Tensor, "*batch N"], activation_distance: float
) -> None:
    """Raise ValueError if a body penetrates an obstacle, or if the activation distance is of another scale.

    Args:
        positions: the vertices of the body [m].
        distances: from the vertices to the obstacle [m]; infinite for those that cannot touch it.
        activation_distance: the distance from which on contact acts [m].
    """
    _check_scale(positions, activation_distance)
    # The worst sample of a batch.
    deepest = distances.reshape(-1, distances.shape[-1])
    deepest = deepest[deepest.amin(-1).argmin()]
    wrong = (deepest <= 0).nonzero().flatten().tolist()
    if not wrong:
        return
    distance = float(deepest.min())
    whole = len(wrong) == int(deepest.isfinite().sum())
    remedy = (
        "Is the obstacle inside out (the normal of a half-space points out of it), or in another place?"
        if whole
        else move_apart(distance, activation_distance)
    )
    raise ValueError(
        f"the {'whole ' if whole else ''}body {what_touches(distance)}; vertices {listed(wrong)}, distance "
        f"{distance:.3g} m. {remedy} If it starts elsewhere than in its rest shape, give its positions as "
        "start=."
    )


def warn_of_gaps(mesh: Mesh, width: float) -> None:
    """Warn with ImplausibleWarning if an obstacle of this width [m] passes between a surface's vertices."""
    if width == math.inf:
        return
    corners = mesh.vertices[mesh.boundary]
    gap = float((corners - corners.roll(1, 1)).norm(dim=-1).max())
    if width < gap:
        warnings.warn(
            f"the obstacle is {width:.3g} m wide, and vertices of the surface are up to {gap:.3g} m apart: "
            "contact acts on vertices, and between them the obstacle passes into the body. Refine the mesh "
            "(simlayer.refine) where they touch.",
            ImplausibleWarning,
            stacklevel=4,  # of a construction
        )


def _check_scale(positions: Tensor, activation_distance: float) -> None:
    size = float((positions.amax(-2) - positions.amin(-2)).amax())
    least = 10 * _ROUNDINGS * torch.finfo(positions.dtype).eps * float(positions.abs().max())
    if not least < activation_distance <= _LARGEST * size:
        raise ValueError(
            f"activation_distance must be more than {least:.2g} m, which positions in {positions.dtype} "
            f"resolve well, and at most {_LARGEST * size:.2g} m, a quarter of the body's size; got "
            f"{activation_distance:g} m. A thousandth to a hundredth of the size is usual."
        )
