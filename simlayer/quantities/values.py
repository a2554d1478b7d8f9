"""Physical and derived values of all modules, computed once for many steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from simlayer.quantities.named import NamedTensors
from simlayer.quantities.physical_module import PhysicalModule


def complete_values(named: NamedTensors, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return physical and derived values by full name, where some physical values are given."""
    values = {
        name: given[name] if name in given else entry.quantity.decode(named.parameters[entry.stored_name])
        for name, entry in named.quantities.items()
    }
    return values | _derived_values(named, named.physical, values)


def updated_values(
    named: NamedTensors, values: Mapping[str, Tensor], changed: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the values that differ when some physical values change: these and what derives from them."""
    owners = {name.rpartition(".")[0] + "." if "." in name else "" for name in changed}
    modules = [(p, m) for p, m in named.physical if p in owners or _derives_from(p, m, owners)]
    derived = {prefix + name for prefix, module in modules for name in module.derived_names()}
    others = {name: value for name, value in values.items() if name not in derived}
    return {**changed, **_derived_values(named, modules, {**others, **changed})}


def _derived_values(
    named: NamedTensors, modules: Sequence[tuple[str, PhysicalModule]], values: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    derived: dict[str, Tensor] = {}
    with named.substituted(values):
        for prefix, module in modules:
            # Each is substituted as soon as it is computed, for those after it that derive from it.
            before = dict(module.substitutes)
            try:
                for name in module.derived_names():
                    module.substitutes[name] = derived[prefix + name] = getattr(module, name)
            finally:
                module.substitutes.clear()
                module.substitutes.update(before)
    return derived


def _derives_from(prefix: str, module: PhysicalModule, owners: set[str]) -> bool:
    children = tuple(f"{prefix}{child}." for child in module.derives_from)
    return any(owner.startswith(children) for owner in owners)
