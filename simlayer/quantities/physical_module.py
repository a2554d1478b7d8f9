"""Modules with physical quantities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from simlayer.quantities.arguments import checked_integer
from simlayer.quantities.checked_module import CheckedModule
from simlayer.quantities.quantity import Quantity, check_own_axes, derived_quantity

# So many numbers are listed; of more the range is shown.
_FEW = 3


class PhysicalModule(CheckedModule):
    """A module with physical quantities.

    Attributes:
        derives_from: the children whose quantities enter its derived quantities.
        substitutes: what takes the place of its quantities and derived quantities, by their names: empty,
            except while `NamedTensors.substituted` supplies values for a call. Where a function is traced
            on scalars, a vector may be the tuple of its components.
    """

    derives_from: ClassVar[tuple[str, ...]] = ()
    _quantities: ClassVar[dict[str, Quantity]] = {}
    _derived: ClassVar[dict[str, derived_quantity]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.substitutes: dict[str, Any] = {}
        self._extents: dict[str, int] = {"components": 3}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        members = {name: member for base in reversed(cls.__mro__) for name, member in vars(base).items()}
        cls._quantities = {n: member for n, member in members.items() if isinstance(member, Quantity)}
        cls._derived = {n: member for n, member in members.items() if isinstance(member, derived_quantity)}

    @classmethod
    def quantities(cls) -> dict[str, Quantity]:
        """Return the declared quantities by physical name."""
        return cls._quantities

    @classmethod
    def derived_names(cls) -> tuple[str, ...]:
        """Return the names of the derived quantities."""
        return tuple(cls._derived)

    @classmethod
    def own_axes(cls) -> dict[str, int]:
        """Return how many trailing axes of each quantity and derived quantity are its own, by name."""
        return {name: member.own_axes for name, member in (cls._quantities | cls._derived).items()}

    @property
    def extents(self) -> Mapping[str, int]:
        """The number of cells (or regions), vertices and components, as far as they are known."""
        return self._extents

    def set_extents(self, **extents: int) -> None:
        """Set the number of cells (or regions) and of vertices, unless they were set before.

        Raises:
            ValueError: if the last axis of a quantity does not fit.
        """
        extents = {name: checked_integer(name, extent, least=1) for name, extent in extents.items()}
        self._extents = extents | self._extents
        for quantity in self.quantities().values():
            check_own_axes(quantity, quantity.stored(self), self._extents, name=quantity.name)

    def extra_repr(self) -> str:
        return "\n".join(describe(self, quantity) for quantity in self.quantities().values())

    def __repr__(self) -> str:
        """Return the module's own lines, then those of the physical modules in it by their paths."""
        lines = self.extra_repr().splitlines()
        for path, part in self.named_modules():
            if isinstance(part, PhysicalModule) and part is not self:
                lines.append(f"{path}: {type(part).__name__}")
                lines += [describe(part, q, prefix=f"{path}.") for q in part.quantities().values()]
        return (
            "\n  ".join([f"{type(self).__name__}(", *lines]) + "\n)" if lines else f"{type(self).__name__}()"
        )


def describe(module: PhysicalModule, quantity: Quantity, *, prefix: str = "") -> str:
    """Return one line with a quantity's name, value or range, unit, shape, storage, and if it is trained."""
    stored = quantity.stored(module)
    value: Tensor = quantity.decode(stored.detach())
    low, high = value.min().item(), value.max().item()
    if 1 < value.numel() <= _FEW:
        text = f"({', '.join(f'{number:.6g}' for number in value.flatten().tolist())})"
    else:
        text = f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
    unit = "" if quantity.unit == "1" else f" {quantity.unit}"
    storage = f", stored as {quantity.stored_name}" if quantity.stored_name != quantity.name else ""
    trained = ", trainable" if stored.requires_grad else ""
    return f"{prefix}{quantity.name} = {text}{unit}, shape {tuple(value.shape)}{storage}{trained}"
