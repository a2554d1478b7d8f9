"""Replacing the tensors that modules read for the time of a call, and computing what derives from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import Tensor, nn

from simlayer.quantities.named import NamedTensors
from simlayer.quantities.quantity import PhysicalModule, Quantity

# What a module may read by a name: vectors as their components where a function is traced on scalars.
Bound = Tensor | tuple[Tensor, ...]


def inputs_of(root: nn.Module) -> dict[str, Tensor]:
    """Everything learnable that modules under `root` read now, bound or their own, by full name."""
    held = NamedTensors(root)
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

    def __init__(self, root: nn.Module | NamedTensors, names: Iterable[str]) -> None:
        held = root if isinstance(root, NamedTensors) else NamedTensors(root)
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


Modules = Sequence[tuple[str, PhysicalModule]]


def values_of(held: NamedTensors, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Physical and derived values by full name, from stored tensors by full name."""
    values = _physical(held.physical, stored)
    return values | _derived(held, held.physical, values)


def changed_values(
    held: NamedTensors, values: Mapping[str, Tensor], stored: Mapping[str, Tensor], changed: Iterable[str]
) -> dict[str, Tensor]:
    """Those of the values of all modules that differ now that these of the stored tensors have changed."""
    owners = {name.rpartition(".")[0] + "." if "." in name else "" for name in changed}
    physical = _physical([(p, m) for p, m in held.physical if p in owners], stored)
    modules = [(p, m) for p, m in held.physical if p in owners or _derives_from(p, m, owners)]
    derived = {prefix + name for prefix, module in modules for name in module.derived_names()}
    others = {name: value for name, value in values.items() if name not in derived}
    return physical | _derived(held, modules, others | physical)


def _physical(modules: Modules, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        prefix + quantity.name: quantity.decode(stored[prefix + quantity.stored_name])
        for prefix, module in modules
        for quantity in module.quantities().values()
    }


def _derived(held: NamedTensors, modules: Modules, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    derived = {}
    with Binding(held, values)(values.values()):
        for prefix, module in modules:
            # Each is bound as soon as it is known, for those after it that derive from it.
            before = dict(module._bound)
            try:
                for name in module.derived_names():
                    module._bound[name] = derived[prefix + name] = getattr(module, name)
            finally:
                module._bound.clear()
                module._bound.update(before)
    return derived


def _derives_from(prefix: str, module: PhysicalModule, owners: Iterable[str]) -> bool:
    children = tuple(f"{prefix}{child}." for child in module.derives_from)
    return any(owner.startswith(children) for owner in owners)
