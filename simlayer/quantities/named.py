"""The tensors under a module by name: finding quantities, and substituting their values for a call."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from simlayer.errors import hint
from simlayer.quantities.arrays import described
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import Quantity

_MISSING = object()
# What a module may read by a name: vectors as their components where a function is traced on scalars.
Value = Tensor | tuple[Tensor, ...]


@dataclass(frozen=True)
class NamedQuantity:
    """A quantity of one module under a root.

    Attributes:
        prefix: the path of the module, with a dot at its end unless it is empty.
    """

    prefix: str
    module: PhysicalModule
    quantity: Quantity

    @property
    def name(self) -> str:
        """The full name of the physical value."""
        return self.prefix + self.quantity.name

    @property
    def stored_name(self) -> str:
        """The full name of the parameter in which it is stored."""
        return self.prefix + self.quantity.stored_name


@dataclass(frozen=True)
class Match:
    """The meaning of a name.

    Attributes:
        name: the full name of the physical value, or of a parameter that is no quantity.
        parameter: the full name of the parameter in which it is stored.
        quantity: None for a parameter that is no quantity, such as a weight of a network.
        is_stored: whether the name stands for the stored value.
    """

    name: str
    parameter: str
    quantity: Quantity | None
    is_stored: bool

    def physical(self, value: Tensor) -> Tensor:
        """Return the physical value, given the value that the name stands for."""
        return self.quantity.decode(value) if self.quantity and self.is_stored else value


class NamedTensors:
    """The tensors under a module now, by full name as in a state dict, from one walk over it.

    Attributes:
        modules: every module by its path.
        physical: the physical modules with the prefix of their names, dot included.
    """

    def __init__(self, root: nn.Module) -> None:
        if not isinstance(root, nn.Module):
            raise TypeError(f"root must be a module, got {described(root)}.")
        self.modules: dict[str, nn.Module] = dict(root.named_modules())
        self.physical: list[tuple[str, PhysicalModule]] = [
            (_prefix(path), module)
            for path, module in self.modules.items()
            if isinstance(module, PhysicalModule)
        ]
        self._places: dict[str, tuple[dict[str, Any], str]] = {}

    @cached_property
    def quantities(self) -> dict[str, NamedQuantity]:
        """Every quantity by its physical name; ValueError if one was given no value."""
        for _, module in self.physical:
            for quantity in module.quantities().values():
                quantity.stored(module)
        return {
            prefix + name: NamedQuantity(prefix, module, quantity)
            for prefix, module in self.physical
            for name, quantity in module.quantities().items()
        }

    @cached_property
    def parameters(self) -> dict[str, Tensor]:
        """Every parameter, those of quantities by their stored names."""
        return _tensors((path, module._parameters.items()) for path, module in self.modules.items())

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The parameters that are no quantities, such as the weights of a network."""
        stored = {entry.stored_name for entry in self.quantities.values()}
        return {name: value for name, value in self.parameters.items() if name not in stored}

    @cached_property
    def buffers(self) -> dict[str, Tensor]:
        """Every buffer."""
        return _tensors((path, module._buffers.items()) for path, module in self.modules.items())

    @cached_property
    def own_axes(self) -> dict[str, int]:
        """The number of trailing axes of each physical or derived value that are its own."""
        return {
            prefix + name: axes
            for prefix, module in self.physical
            for name, axes in module.own_axes().items()
        }

    def values(self) -> dict[str, Tensor]:
        """Return the weights, quantities and derived quantities that the modules read now.

        None of a quantity is its parameter itself, which would change with what is assigned to it later.
        """
        found = {
            prefix + name: getattr(module, name)
            for prefix, module in self.physical
            for name in (*module.quantities(), *module.derived_names())
        }
        own = {name: value.clone() for name, value in found.items() if isinstance(value, nn.Parameter)}
        return self.weights | found | own

    def find(self, name: str) -> Match:
        """Return what a name stands for: a quantity by its physical or stored name, or a parameter.

        The name may be the end of one full name only, such as "youngs_modulus".

        Raises:
            KeyError: if no name ends so, with the nearest one, or if several do, with all of them.
        """
        return self._matches[full_name(name, self._matches)]

    def value(self, name: str) -> Tensor:
        """Return the value that a name stands for now, physical or stored; raises KeyError like `find`."""
        match = self.find(name)
        value = self.parameters[match.parameter]
        return value if match.is_stored or match.quantity is None else match.quantity.decode(value)

    @cached_property
    def _matches(self) -> dict[str, Match]:
        matches = {name: Match(name, name, None, True) for name in self.weights}
        for entry in self.quantities.values():
            name, stored = entry.name, entry.stored_name
            matches[stored] = Match(name, stored, entry.quantity, True)
            matches[name] = Match(name, stored, entry.quantity, stored == name)
        return matches

    @contextmanager
    def substituted(self, values: Mapping[str, Value]) -> Iterator[None]:
        """Let the modules read these values in place of their own for the time of a `with` block.

        Args:
            values: by full names, of quantities (physical), derived quantities, parameters that are no
                quantities, and buffers.

        Raises:
            KeyError: if there is no module of such a name; then nothing is substituted.
        """
        places = [self._place(name) for name in values]
        previous = [place.get(key, _MISSING) for place, key in places]
        for (place, key), value in zip(places, values.values(), strict=True):
            place[key] = value
        try:
            yield
        finally:
            for (place, key), before in zip(places, previous, strict=True):
                if before is _MISSING:
                    del place[key]
                else:
                    place[key] = before

    def _place(self, name: str) -> tuple[dict[str, Any], str]:
        """Return where a module looks up the value of this full name."""
        if name not in self._places:
            path, _, key = name.rpartition(".")
            module: Any = self.modules[path]
            place = module._buffers if key in module._buffers else module._parameters
            if key not in place or isinstance(getattr(type(module), key, None), Quantity):
                place = module.substitutes
            self._places[name] = place, key
        return self._places[name]


def full_name(name: str, names: Collection[str]) -> str:
    """Return the one name of `names` that `name` is, or is the end of after a dot.

    Raises:
        KeyError: if there is none, with the nearest one, or if there are several, with all of them.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a quantity must be a text, got {described(name)}.")
    if name in names:
        return name
    ending = [full for full in names if full.endswith(f".{name}")]
    if len(ending) == 1:
        return ending[0]
    if ending:
        raise KeyError(f"{name!r} is the end of several names, write one in full: {', '.join(ending)}.")
    raise KeyError(f"no quantity is named {name!r}; {hint(name, names)}")


def _prefix(path: str) -> str:
    return f"{path}." if path else ""


def _tensors(members: Iterable[tuple[str, Iterable[tuple[str, Tensor | None]]]]) -> dict[str, Tensor]:
    return {
        _prefix(path) + name: tensor
        for path, tensors in members
        for name, tensor in tensors
        if tensor is not None
    }
