"""Given forces on vertices."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from simlayer.forces.base import Force
from simlayer.mesh import Mesh
from simlayer.quantities import Quantity
from simlayer.state import State


class NodalLoad(Force):
    """A given force on every vertex, the same whatever the body does (a dead load).

    Args:
        mesh: the body.
        forces: `(N, 3)` [N], or `(1, 3)` for the same force on every vertex.
    """

    forces = Quantity("N", over="vertex vectors")

    def __init__(self, mesh: Mesh, forces: Float[Tensor, "#N 3"]) -> None:
        super().__init__()
        self.forces = forces
        self.set_extents(vertices=len(mesh.vertices))

    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        return self.forces.expand_as(state.positions)
