"""Which tensors the modules of a step read: their own, or those of one call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import Tensor, nn

from simlayer.inventory import Inventory
from simlayer.quantities import Quantity

# What a module may read by a name: vectors as their components where a function is traced on scalars.
Bound = Tensor | tuple[Tensor, ...]


def inputs_of(root: nn.Module) -> dict[str, Tensor]:
    """Everything learnable that modules under `root` read now, bound or their own, by full name."""
    held = Inventory(root)
    return held.weights | {
        prefix + name: getattr(module, name)
        for prefix, module in held.physical
        for name in (*module.quantities(), *module.derived_names())
    }


class Binding:
    """Lets modules under `root` read given tensors instead of their own for the time of a `with` block.

    Args:
        root: the module to bind in, or what it holds.
        names: full names, of quantities and derived properties, or of plain parameters and buffers.
    """

    def __init__(self, root: nn.Module | Inventory, names: Iterable[str]) -> None:
        held = root if isinstance(root, Inventory) else Inventory(root)
        self._places = [_place(held.modules, name) for name in names]

    @contextmanager
    def __call__(self, tensors: Iterable[Bound]) -> Iterator[None]:
        pairs = list(zip(self._places, tensors, strict=True))  # before anything is bound: it may raise
        previous = [place.get(key) for place, key in self._places]
        for (place, key), tensor in pairs:
            place[key] = tensor
        try:
            yield
        finally:
            for (place, key), value in zip(self._places, previous, strict=True):
                if value is None:
                    del place[key]
                else:
                    place[key] = value


def bound(root: nn.Module, values: Mapping[str, Bound]) -> AbstractContextManager[None]:
    """A `Binding` for one use."""
    return Binding(root, values)(values.values())


def _place(modules: Mapping[str, nn.Module], full_name: str) -> tuple[dict[str, Any], str]:
    """Where a module looks up what has this name."""
    path, _, name = full_name.rpartition(".")
    module = modules[path]
    if name in module._buffers:
        return module._buffers, name
    if name in module._parameters and not isinstance(getattr(type(module), name, None), Quantity):
        return module._parameters, name
    return module.__dict__["_bound"], name
