"""The values that modules read, from the tensors that store them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from simlayer.binding import Binding
from simlayer.inventory import Inventory
from simlayer.quantities import PhysicalModule

Modules = Sequence[tuple[str, PhysicalModule]]


def values_of(held: Inventory, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Physical and derived values by full name, from stored tensors by full name."""
    values = _physical(held.physical, stored)
    return values | _derived(held, held.physical, values)


def changed_values(
    held: Inventory, values: Mapping[str, Tensor], stored: Mapping[str, Tensor], changed: Iterable[str]
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


def _derived(held: Inventory, modules: Modules, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
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
