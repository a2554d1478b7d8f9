"""Contacts whose normal forces are known: what a user of friction might write."""

import torch
from torch import Tensor

from simlayer import ContactForce, ContactState, Potential, Quantity, State

UP = (0.0, 0.0, 1.0)


class Press(ContactForce):
    """A ground that presses every vertex with a given force, whatever the positions, and may move along x."""

    belt_velocities = Quantity("m/s", over="components")

    def __init__(self, normal_force: Tensor, normals: Tensor | None = None, belt: float = 0.0) -> None:
        super().__init__()
        self.belt_velocities = (belt, 0.0, 0.0)
        self.register_buffer("normal_force", normal_force.clone(), persistent=False)
        directions = torch.tensor(UP).expand(*normal_force.shape, 3) if normals is None else normals
        self.register_buffer("normals", directions.clone(), persistent=False)

    def forward(self, state: State) -> Tensor:
        return self._state(state.positions)[0][..., None] * self.normals

    def contact_state(self, positions: Tensor) -> ContactState:
        return self._state(positions)

    def _state(self, positions: Tensor) -> ContactState:
        belt = self.belt_velocities[..., None, :]
        return ContactState(
            self.normal_force.expand(positions.shape[:-1]),
            self.normals.expand(positions.shape),
            belt.expand(positions.shape),
        )


class Cushion(Potential, ContactForce):
    """A soft ground below z = 0, whose force on a vertex is stiffness depth², and which may move along x."""

    stiffness = Quantity("N/m²", positive=True)
    belt_velocities = Quantity("m/s", over="components")

    def __init__(self, stiffness: float, belt: float = 0.0) -> None:
        super().__init__()
        self.stiffness = stiffness
        self.belt_velocities = (belt, 0.0, 0.0)

    def energy(self, positions: Tensor) -> Tensor:
        return (self.stiffness / 3 * (-positions[..., 2]).clamp(min=0) ** 3).sum(-1)

    def contact_state(self, positions: Tensor) -> ContactState:
        depth = (-positions[..., 2]).clamp(min=0)
        touches = (depth > 0)[..., None].to(depth)
        normals = touches * positions.new_tensor(UP)
        return ContactState(self.stiffness * depth**2, normals, touches * self.belt_velocities[..., None, :])
