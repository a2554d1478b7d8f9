"""Servos that pull vertices to target positions."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.actuators.stiffness import CellBound
from simlayer.forces.base import Potential
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.selection import vertex_indices
from simlayer.quantities.quantity import Quantity
from simlayer.state import State


class PositionServo(Potential):
    """Springs of no length from some vertices to targets, which a controller moves.

    Vertices that are to follow a path exactly are fixed in the step, and moved by `motion_controls`.

        servo = PositionServo(mesh, "x_max", stiffness=100.0)
        rollout(state, controls={"forces.servo.targets": targets})                  # (T, B, K, 3) [m]

    Args:
        mesh: the body in its rest shape.
        vertices: K of them: the name of a vertex set, indices or a mask `(N,)`.
        stiffness: [N/m]: one value, or one per vertex, in the order of the mesh.
        targets: [m] `(K, 3)`, or `(1, 3)` for all; where the vertices are at rest by default.

    Raises:
        ValueError: if there are no such vertices, or a quantity does not fit.
    """

    stiffness = Quantity("N/m", over="vertices", positive=True)
    targets = Quantity("m", over="vertex vectors")
    vertices: Tensor

    def __init__(
        self,
        mesh: Mesh,
        vertices: Tensor | str,
        *,
        stiffness: float | Tensor,
        targets: Float[Tensor, "*batch #K 3"] | None = None,
    ) -> None:
        super().__init__()
        chosen = vertex_indices(mesh, vertices, name="vertices")
        self.register_buffer("vertices", chosen, persistent=False)
        self.mesh, self.stiffness, self.cell_bound = mesh, stiffness, CellBound(mesh)
        self.targets = mesh.vertices[chosen] if targets is None else targets
        self.set_extents(vertices=len(chosen))

    def energy(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        off = positions.index_select(-2, self.vertices) - self.targets
        return 0.5 * (self.stiffness * off.square().sum(-1)).sum(-1)

    @property
    def connectivity(self) -> Int[Tensor, "K 1"]:
        return self.vertices[:, None]

    def hessian_blocks(
        self, positions: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*batch K 3 3"]:
        stiffness = self.stiffness.expand(*positions.shape[:-2], len(self.vertices))
        return stiffness[..., None, None] * torch.eye(3).to(stiffness)

    def stiffness_bound(self, state: State | None) -> Float[Tensor, "*batch M"]:
        own = self.stiffness.expand(*self.stiffness.shape[:-1], len(self.vertices))
        zeros = own.new_zeros((*own.shape[:-1], len(self.mesh.vertices)))
        return self.cell_bound(zeros.index_copy(-1, self.vertices, own))
