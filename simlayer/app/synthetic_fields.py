"""Fields of twins that a fit is to find."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.mesh.mesh import Mesh


def inclusion(
    mesh: Mesh, *, inside: float, outside: float, center: Sequence[float], radius: float
) -> Float[Tensor, "M"]:
    """Return one value per cell: `inside` where the cell's middle is within `radius` [m] of `center` [m].

    Raises:
        ValueError: if that is true of no cell, or of all.
    """
    middles = mesh.vertices[mesh.cells].mean(1)
    within = (middles - torch.tensor([float(x) for x in center])).norm(dim=1) < radius
    if not 0 < int(within.sum()) < len(within):
        raise ValueError(
            f"the inclusion of radius {radius} m around {list(center)} contains {int(within.sum())} of the "
            f"{len(within)} cells; move it, or change its radius."
        )
    return torch.where(within, inside, outside)
