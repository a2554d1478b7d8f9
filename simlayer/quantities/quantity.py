"""Physical quantities of a module: stored value, transform, unit, axis.

A quantity is declared on the class and assigned in the constructor:

    class Gent(Material):
        shear_modulus = Quantity("Pa", over="cells", positive=True)

        def __init__(self, shear_modulus):
            super().__init__()
            self.shear_modulus = shear_modulus      # registers the parameter `log_shear_modulus`

What is stored is unconstrained, so that any optimizer step keeps the quantity valid; what is read is the
physical value. During a rollout every value is computed once and bound to its module for all steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, overload

import torch
from torch import Tensor, nn

Axis = Literal["uniform", "cells", "vertices", "components", "vertex vectors"]


class Quantity:
    """A physical quantity of a module, stored as an unconstrained `nn.Parameter`.

    Args:
        unit: SI unit, for people.
        over: what the last axis runs over; a single value is always allowed, but for "components"
            (3 values) and "vertex vectors" (the last two axes are N and 3). Any axes before are batch.
        positive: the value is positive and its logarithm is stored, as `log_<name>`.
        bounds: the value lies strictly between these two and its logit is stored, as `logit_<name>`.
        scale: how large changes typically are, for a value that has neither; the value is stored in units
            of it, as `scaled_<name>`, so that an optimizer takes steps that fit.
    """

    def __init__(
        self,
        unit: str,
        *,
        over: Axis = "uniform",
        positive: bool = False,
        bounds: tuple[float, float] | None = None,
        scale: float | None = None,
    ) -> None:
        self.unit, self.over, self.positive, self.bounds = unit, over, positive, bounds
        self.scale = scale
        self.name = self.stored_name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        prefix = "log_" if self.positive else "logit_" if self.bounds else "scaled_" if self.scale else ""
        self.name, self.stored_name = name, prefix + name

    @overload
    def __get__(self, module: None, owner: type) -> Quantity: ...
    @overload
    def __get__(self, module: nn.Module, owner: type) -> Tensor: ...
    def __get__(self, module: nn.Module | None, owner: type) -> Tensor | Quantity:
        if module is None:
            return self
        bound = module.__dict__["_bound"]
        if self.name in bound:
            return bound[self.name]
        return self.decode(self.stored(module))

    def __set__(self, module: nn.Module, value: Any) -> None:
        stored = self.encode(value)
        current = module._parameters.get(self.stored_name)
        if current is None:
            stored = stored.to(torch.get_default_dtype())
            module._parameters[self.stored_name] = nn.Parameter(stored, requires_grad=False)
        else:
            # The parameter object stays, for whoever holds it: an optimizer, a view of the state dict.
            current.data = stored.to(current)

    def stored(self, module: nn.Module) -> Tensor:
        """The parameter in which a module stores this quantity, or what takes its place for a time."""
        parameter = module._parameters[self.stored_name]
        assert parameter is not None
        return parameter

    @property
    def own_axes(self) -> int:
        """How many trailing axes belong to the quantity; the axes before them are batch."""
        return 2 if self.over == "vertex vectors" else 1

    def encode(self, value: Any) -> Tensor:
        """The stored tensor, float64, of a physical value; raises ValueError outside the valid range."""
        if isinstance(value, Tensor) and value.requires_grad:
            raise ValueError(
                f"{self.name} was assigned a tensor that requires grad, whose graph would be lost; supply it "
                f"per call instead: rollout(state, {{'<path>.{self.stored_name}': ...}})."
            )
        # In double precision, so that a logarithm costs no more than its own rounding.
        tensor = torch.as_tensor(value, dtype=torch.float64).clone()
        self._check(tensor)
        if self.positive:
            tensor = tensor.log()
        elif self.bounds:
            low, high = self.bounds
            tensor = ((tensor - low) / (high - low)).logit()
        elif self.scale:
            tensor = tensor / self.scale
        return tensor

    def decode(self, stored: Tensor) -> Tensor:
        """The physical value of a stored tensor."""
        if self.positive:
            return stored.exp()
        if self.bounds:
            low, high = self.bounds
            return low + (high - low) * stored.sigmoid()
        if self.scale:
            return self.scale * stored
        return stored

    def _check(self, value: Tensor) -> None:
        low, high = (0.0, math.inf) if self.positive else self.bounds or (-math.inf, math.inf)
        wrong = ~((value > low) & (value < high) & value.isfinite())
        if bool(wrong.any()):
            first = value[wrong].flatten()[0].item()
            rule = (
                "be positive"
                if self.positive
                else f"lie in ({low:g}, {high:g})"
                if self.bounds
                else "be finite"
            )
            rule += " and finite" if self.positive and math.isinf(first) else ""
            raise ValueError(f"{self.name} must {rule}, got {'NaN' if math.isnan(first) else f'{first:g}'}.")


class derived_quantity:  # noqa: N801 - used as a decorator, like property
    """A property that follows from quantities only, `(*batch, own)`, computed once per rollout."""

    own_axes = 1

    def __init__(self, compute: Callable[[Any], Tensor]) -> None:
        self.compute, self.name, self.__doc__ = compute, compute.__name__, compute.__doc__

    @overload
    def __get__(self, module: None, owner: type) -> derived_quantity: ...
    @overload
    def __get__(self, module: nn.Module, owner: type) -> Tensor: ...
    def __get__(self, module: nn.Module | None, owner: type) -> Tensor | derived_quantity:
        if module is None:
            return self
        bound = module.__dict__["_bound"]
        return bound[self.name] if self.name in bound else self.compute(module)


class derived_vectors(derived_quantity):  # noqa: N801
    """The same for a vector at every vertex, `(*batch, N, 3)`."""

    own_axes = 2


class PhysicalModule(nn.Module):
    """A module with physical quantities.

    Attributes:
        derives_from: the children whose quantities enter its derived properties.
    """

    derives_from: ClassVar[tuple[str, ...]] = ()
    _quantities: ClassVar[dict[str, Quantity]] = {}
    _derived: ClassVar[dict[str, derived_quantity]] = {}

    def __init__(self) -> None:
        super().__init__()
        self._bound: dict[str, Tensor] = {}
        # What "cells" and "vertices" mean here; whoever knows the mesh says so.
        self._extents: dict[str, int] = {"components": 3}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        members = {name: member for base in reversed(cls.__mro__) for name, member in vars(base).items()}
        cls._quantities = {n: member for n, member in members.items() if isinstance(member, Quantity)}
        cls._derived = {n: member for n, member in members.items() if isinstance(member, derived_quantity)}

    @classmethod
    def quantities(cls) -> dict[str, Quantity]:
        """The declared quantities by physical name."""
        return cls._quantities

    @classmethod
    def derived_names(cls) -> tuple[str, ...]:
        """The names of the properties that are computed once per rollout."""
        return tuple(cls._derived)

    @classmethod
    def own_axes(cls) -> dict[str, int]:
        """How many trailing axes are each quantity's and derived property's own, by physical name."""
        return {name: member.own_axes for name, member in (cls._quantities | cls._derived).items()}

    def set_extents(self, **extents: int) -> None:
        """Say how many cells (or regions) and vertices there are, unless it was said before.

        Raises:
            ValueError: if a quantity's own axis does not fit.
        """
        self._extents = extents | self._extents
        for quantity in self.quantities().values():
            check_own_axes(quantity, quantity.stored(self), self._extents, name=quantity.name)

    def __setattr__(self, name: str, value: Any) -> None:
        declared = getattr(type(self), name, None)
        if isinstance(declared, Quantity):  # before nn.Module takes the name for that of a parameter
            declared.__set__(self, value)
        else:
            super().__setattr__(name, value)

    def extra_repr(self) -> str:
        return "\n".join(describe(self, quantity) for quantity in self.quantities().values())


def describe(module: PhysicalModule, quantity: Quantity) -> str:
    """One line: name, value or range, unit, shape, and whether it is trained."""
    stored = quantity.stored(module)
    value = quantity.decode(stored.detach())
    low, high = value.min().item(), value.max().item()
    text = f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
    trained = ", trainable" if stored.requires_grad else ""
    return f"{quantity.stored_name}: {tuple(value.shape)}, {quantity.name} = {text} {quantity.unit}{trained}"


def check_own_axes(quantity: Quantity, stored: Tensor, extents: Mapping[str, int], *, name: str) -> None:
    """Raise ValueError, naming `name`, if the trailing axes of `stored` cannot be the quantity's own."""
    shape = tuple(stored.shape)
    size = extents.get(quantity.over, 1)
    if quantity.over == "vertex vectors":
        if len(shape) >= 2 and shape[-1] == 3 and shape[-2] in (1, extents["vertices"]):
            return
        rule = f"(*batch, {extents['vertices']}, 3) or (*batch, 1, 3)"
    elif quantity.over == "components":
        if shape and shape[-1] == 3:
            return
        rule = "(*batch, 3)"
    else:
        if not shape or shape[-1] in (1, size):
            return
        rule = (
            "(*batch, 1)"
            if size == 1
            else f"(*batch, 1) or (*batch, {size}) (one value for all, or over {quantity.over})"
        )
    hint = f"; one value per sample is shape {(*shape, 1)}" if shape else ""
    raise ValueError(f"{name} has shape {shape}; its last axis is its own: expected {rule}{hint}.")
