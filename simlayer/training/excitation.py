"""Initial velocities from which a material can be identified."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.mesh import Mesh, MeshError


def pulled_and_twisted(
    mesh: Mesh, held: Int[Tensor, "_"], *, pull: float, twist: float
) -> tuple[Float[Tensor, "N 3"], float]:
    """Velocities [m/s] that grow from the held vertices to the far end, and how far that is [m].

    Pulling excites Young's modulus and twisting the shear modulus, which together tell Poisson's ratio; a
    sagging body hardly does.

    Args:
        mesh: the body.
        held: the vertices at one end, which stay at rest.
        pull: speed of the far end, away from the held one [m/s].
        twist: speed of the far end around the axis, as far from it as the body is long [m/s].
    """
    arms = mesh.vertices - mesh.vertices[held].mean(0)
    axis = torch.nn.functional.normalize(arms.mean(0), dim=0)
    along = arms @ axis
    length = float(along.max())
    if not length > 0.01 * float(arms.norm(dim=1).max()):
        raise MeshError(f"{mesh.source}: the held vertices must lie at one end, not around the middle.")
    around = torch.linalg.cross(axis.expand_as(arms), arms) / length
    velocities = (along / length)[:, None] * (pull * axis + twist * around)
    return velocities.index_fill(0, held, 0.0), length
