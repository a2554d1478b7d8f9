"""Which tensors the modules of a step read: their own, or those of one call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import Tensor, nn

from simlayer.quantities import PhysicalModule, Quantity

# What a module may read by a name: vectors as their components where a function is traced on scalars.
Bound = Tensor | tuple[Tensor, ...]


def physical_modules(root: nn.Module) -> Iterator[tuple[str, PhysicalModule]]:
    """The physical modules under `root` with the prefix of their names, dot included."""
    for path, module in root.named_modules():
        if isinstance(module, PhysicalModule):
            yield (f"{path}." if path else ""), module


def quantities_by_name(root: nn.Module) -> dict[str, tuple[PhysicalModule, Quantity]]:
    """Every quantity under `root` by the full name of its stored parameter."""
    return {
        prefix + quantity.stored_name: (module, quantity)
        for prefix, module in physical_modules(root)
        for quantity in module.quantities().values()
    }


def values_of(root: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a step reads: physical and derived values by full name, from stored tensors by full name."""
    modules = list(physical_modules(root))
    values = _physical_values(modules, tensors)
    return values | _derived_values(root, modules, values)


def changed_values(
    root: nn.Module, values: Mapping[str, Tensor], stored: Mapping[str, Tensor], changed: Iterable[str]
) -> dict[str, Tensor]:
    """Those of the values of all modules that differ now that these of the stored tensors have changed."""
    owners = {name.rpartition(".")[0] + "." if "." in name else "" for name in changed}
    modules = [(p, m) for p, m in physical_modules(root) if p in owners]
    physical = _physical_values(modules, stored)
    modules = [(p, m) for p, m in physical_modules(root) if p in owners or _derives_from(p, m, owners)]
    derived = {prefix + name for prefix, module in modules for name in module.derived_names()}
    others = {name: value for name, value in values.items() if name not in derived}
    return physical | _derived_values(root, modules, others | physical)


Modules = Sequence[tuple[str, PhysicalModule]]


def _physical_values(modules: Modules, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        prefix + quantity.name: quantity.decode(stored[prefix + quantity.stored_name])
        for prefix, module in modules
        for quantity in module.quantities().values()
    }


def _derived_values(root: nn.Module, modules: Modules, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    with bound(root, values):
        return {
            prefix + name: getattr(module, name)
            for prefix, module in modules
            for name in module.derived_names()
        }


def _derives_from(prefix: str, module: PhysicalModule, owners: Iterable[str]) -> bool:
    children = tuple(f"{prefix}{child}." for child in module.derives_from)
    return any(owner.startswith(children) for owner in owners)


def plain_parameters(root: nn.Module) -> dict[str, Tensor]:
    """The parameters under `root` that are no quantities, by full name: the weights of learned laws."""
    quantities = quantities_by_name(root)
    return {name: value for name, value in root.named_parameters() if name not in quantities}


def inputs_of(root: nn.Module) -> dict[str, Tensor]:
    """Everything learnable that modules under `root` read now, bound or their own, by full name."""
    return plain_parameters(root) | {
        prefix + name: getattr(module, name)
        for prefix, module in physical_modules(root)
        for name in (*module.quantities(), *module.derived_names())
    }


class Binding:
    """Lets modules under `root` read given tensors instead of their own for the time of a `with` block.

    Args:
        root: the module to bind in.
        names: full names, of quantities and derived properties, or of plain parameters and buffers.
    """

    def __init__(self, root: nn.Module, names: Iterable[str]) -> None:
        modules = dict(root.named_modules())
        self._places = [_place(modules, name) for name in names]

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
