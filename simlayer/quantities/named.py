"""What the modules under a root hold, by full name."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from torch import Tensor, nn

from simlayer.quantities.quantity import PhysicalModule, Quantity


class NamedTensors:
    """What is under a module now, from one walk over it.

    Everything is by full name, as in a state dict; quantities by that of their stored parameter.

    Attributes:
        modules: every module by its path.
        physical: the physical modules with the prefix of their names, dot included.
    """

    def __init__(self, root: nn.Module) -> None:
        self.modules: dict[str, nn.Module] = dict(root.named_modules())
        self.physical: list[tuple[str, PhysicalModule]] = [
            (_prefix(path), module)
            for path, module in self.modules.items()
            if isinstance(module, PhysicalModule)
        ]

    @cached_property
    def quantities(self) -> dict[str, tuple[PhysicalModule, Quantity]]:
        return {
            prefix + quantity.stored_name: (module, quantity)
            for prefix, module in self.physical
            for quantity in module.quantities().values()
        }

    @cached_property
    def parameters(self) -> dict[str, Tensor]:
        return _tensors((path, module._parameters.items()) for path, module in self.modules.items())

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The parameters that are no quantities: those of learned laws."""
        return {name: value for name, value in self.parameters.items() if name not in self.quantities}

    @cached_property
    def buffers(self) -> dict[str, Tensor]:
        return _tensors((path, module._buffers.items()) for path, module in self.modules.items())

    @cached_property
    def own_axes(self) -> dict[str, int]:
        """How many trailing axes of each physical or derived value are its own."""
        return {
            prefix + name: axes
            for prefix, module in self.physical
            for name, axes in module.own_axes().items()
        }


def _prefix(path: str) -> str:
    return f"{path}." if path else ""


def _tensors(members: Iterable[tuple[str, Iterable[tuple[str, Tensor | None]]]]) -> dict[str, Tensor]:
    return {
        _prefix(path) + name: tensor
        for path, tensors in members
        for name, tensor in tensors
        if tensor is not None
    }
