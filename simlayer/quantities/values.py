"""Physical and derived values of all modules, computed once for many steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from torch import Tensor

from simlayer.quantities.named import NamedTensors
from simlayer.quantities.physical_module import PhysicalModule


def physical_values(named: NamedTensors, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the physical value of every quantity by full name: the given one, or the module's own.

    None is a parameter itself, which would change with what is assigned to it later.
    """
    return {
        name: given[name] if name in given else entry.quantity.value(named.parameters[entry.stored_name])
        for name, entry in named.quantities.items()
    }


def derived_values(
    named: NamedTensors,
    values: Mapping[str, Tensor],
    modules: Sequence[tuple[str, PhysicalModule]] | None = None,
    only: Collection[str] | None = None,
) -> dict[str, Tensor]:
    """Return the derived values of modules, by default of all, that follow from these physical values.

    With `only`, those of these names.
    """
    derived: dict[str, Tensor] = {}
    with named.substituted(values):
        before = [(module, dict(module.substitutes)) for _, module in named.physical]
        try:
            # A call around this one may have substituted derived values, which follow from others than these.
            for module, _ in before:
                for name in module.derived_names():
                    module.substitutes.pop(name, None)
            for prefix, module in named.physical if modules is None else modules:
                # Each is substituted as soon as it is computed, for those after it that derive from it.
                for name in module.derived_names():
                    if only is None or prefix + name in only:
                        module.substitutes[name] = derived[prefix + name] = getattr(module, name)
        finally:
            for module, substitutes in before:
                module.substitutes.clear()
                module.substitutes.update(substitutes)
    return derived


def updated_values(
    named: NamedTensors,
    values: Mapping[str, Tensor],
    changed: Mapping[str, Tensor],
    only: Collection[str] | None = None,
) -> dict[str, Tensor]:
    """Return the values that differ when some physical values change: these and what derives from them.

    What derives is that of the modules that they belong to, or with `only`, what has these names.
    """
    if only is not None and not only:
        return dict(changed)
    owners = {name.rpartition(".")[0] + "." if "." in name else "" for name in changed}
    modules = [(p, m) for p, m in named.physical if p in owners or _derives_from(p, m, owners)]
    return {**changed, **derived_values(named, {**values, **changed}, modules, only)}


def _derives_from(prefix: str, module: PhysicalModule, owners: set[str]) -> bool:
    children = tuple(f"{prefix}{child}." for child in module.derives_from)
    return any(owner.startswith(children) for owner in owners)
