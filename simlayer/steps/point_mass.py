"""Masses that a body carries beside its own."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.mesh.mesh import Mesh
from simlayer.mesh.selection import vertex_indices
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import Quantity


class PointMass(PhysicalModule):
    """A mass tied to vertices in equal parts, with its inertia and, under gravity, its weight.

    Args:
        mesh: the body.
        vertices: what it hangs on: the name of a vertex set, vertex indices, or a mask `(N,)`.
        mass: the sum of the parts [kg], positive.

    Raises:
        ValueError: if there is no such vertex, or none at all.
    """

    mass = Quantity("kg", positive=True)
    shares: Tensor

    def __init__(self, mesh: Mesh, vertices: Tensor | str, *, mass: float | Tensor) -> None:
        super().__init__()
        self.mass, self.mesh = mass, mesh
        chosen = vertex_indices(mesh, vertices, name="vertices")
        shares = torch.zeros_like(mesh.vertices[:, 0])
        shares[chosen] = 1 / len(chosen)
        self.register_buffer("shares", shares, persistent=False)

    def forward(self) -> Float[Tensor, "*batch N"]:
        """Return the mass added to each vertex [kg]."""
        return self.mass * self.shares
