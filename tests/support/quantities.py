"""Modules with quantities of every kind."""

import torch

from simlayer import PhysicalModule, Quantity, derived_quantity


class Spring(PhysicalModule):
    """One quantity of every kind of storage, a derived value, a plain parameter, and a buffer."""

    stiffness = Quantity("N/m", over="cells", positive=True)
    fraction = Quantity("1", bounds=(-1.0, 0.5))
    direction = Quantity("m", over="components")

    def __init__(self, stiffness=200.0, fraction=0.3, direction=(1.0, 0.0, -2.0)):
        super().__init__()
        self.stiffness, self.fraction, self.direction = stiffness, fraction, torch.as_tensor(direction)
        self.weight = torch.nn.Parameter(torch.ones(2))
        self.register_buffer("offset", torch.zeros(3))
        self.computed = 0

    @derived_quantity
    def pull(self):
        """The force along the direction [N]."""
        self.computed += 1
        return self.stiffness * self.direction.norm()


class Pair(torch.nn.Module):
    """Two springs below a module that has no quantities."""

    def __init__(self):
        super().__init__()
        self.left, self.right = Spring(1.0), Spring(2.0)
