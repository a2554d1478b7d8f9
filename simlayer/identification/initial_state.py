"""The initial state of a rollout, as something that can be identified."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.mesh.mesh import Mesh
from simlayer.quantities.objects import checked_instance
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import Quantity
from simlayer.state import State


class InitialState(PhysicalModule):
    """Displacements and velocities that are added to a known initial state; zero by default.

    Args:
        mesh: the body.
        displacements: added to the positions [m], `(N, 3)`, or `(1, 3)` for the whole body.
        velocities: added to the velocities [m/s], `(N, 3)` or `(1, 3)`.
    """

    displacements = Quantity("m", over="vertex vectors")
    velocities = Quantity("m/s", over="vertex vectors")

    def __init__(
        self,
        mesh: Mesh,
        *,
        displacements: Float[Tensor, "#N 3"] | None = None,
        velocities: Float[Tensor, "#N 3"] | None = None,
    ) -> None:
        super().__init__()
        checked_instance("mesh", mesh, Mesh)
        self.displacements = torch.zeros(1, 3) if displacements is None else displacements
        self.velocities = torch.zeros(1, 3) if velocities is None else velocities
        self.set_extents(vertices=len(mesh.vertices))

    def forward(self, state: State) -> State:
        return State(state.positions + self.displacements, state.velocities + self.velocities)
