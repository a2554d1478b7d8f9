"""A public call with valid arguments, and what each of them accepts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fuzz.kinds import Callables, Choice, Instance, Kind, Numbers, Selection, Shape, Text, Truth

Make = Callable[[], Any]


@dataclass(frozen=True)
class Argument:
    """An argument of a call.

    Attributes:
        kind: what it accepts.
        make: returns a valid value.
        names: other names by which a message may call it.
    """

    kind: Kind
    make: Make
    names: tuple[str, ...] = ()

    def called(self, *names: str) -> Argument:
        """Return the argument with other names by which a message may call it."""
        return Argument(self.kind, self.make, names)


@dataclass(frozen=True)
class Call:
    """A public name with a valid call of it.

    Attributes:
        name: of the call, such as "Sphere", "RolloutModule.trajectory" or "Sphere.radius =".
        run: makes the call with arguments by name.
        alike: the arguments whose shapes must be equal; each fits more than one.
    """

    name: str
    run: Callable[..., Any]
    arguments: Mapping[str, Argument] = field(hash=False)
    alike: tuple[str, ...] = ()

    def valid(self) -> dict[str, Any]:
        """Return valid arguments, made anew."""
        return {name: argument.make() for name, argument in self.arguments.items()}


def assignments(call: Call, names: Iterable[str]) -> list[Call]:
    """Return the assignments to these attributes of what the call makes, like the arguments of that name."""

    def assigning(name: str) -> Callable[..., Any]:
        def run(**given: Any) -> Any:
            made = call.run(**call.valid())
            setattr(made, name, given[name])
            return made

        return run

    return [Call(f"{call.name}.{name} =", assigning(name), {name: call.arguments[name]}) for name in names]


def made(
    name: str,
    run: Callable[..., Any],
    /,
    *,
    assigned: str = "",
    alike: tuple[str, ...] = (),
    **arguments: Argument,
) -> list[Call]:
    """Return the call of a constructor, and the assignments to some attributes of what it makes."""
    call = Call(name, run, arguments, alike)
    return [call, *assignments(call, assigned.split())]


def scalar(shape: Shape) -> bool:
    return shape in ((), (1,))


def uniform(shape: Shape) -> bool:
    return not shape or (shape[-1] == 1 and math.prod(shape) > 0)


def over(count: int) -> Callable[[Shape], bool]:
    """One value, or one for each of so many, with any batch in front."""
    return lambda shape: not shape or (shape[-1] in (1, count) and math.prod(shape) > 0)


def anything(shape: Shape) -> bool:
    return math.prod(shape) > 0


def vectors(shape: Shape) -> bool:
    return bool(shape) and shape[-1] == 3 and math.prod(shape) > 0


def at_vertices(count: int) -> Callable[[Shape], bool]:
    return lambda s: len(s) >= 2 and s[-1] == 3 and s[-2] in (1, count) and math.prod(s) > 0


def shaped(*shapes: Shape) -> Callable[[Shape], bool]:
    return lambda shape: shape in shapes


def number(value: float | None, low: float = -math.inf, high: float = math.inf, **options: Any) -> Argument:
    """A number in an open interval."""
    return Argument(Numbers(scalar, low, high, **options), lambda: value)


def positive(value: float, **options: Any) -> Argument:
    return number(value, 0.0, **options)


def count(value: int, low: int = 1, high: float = 1e15, **options: Any) -> Argument:
    """A whole number from a least one on."""
    return number(value, low, high, closed=True, whole=True, form="count", **options)


def quantity(
    value: Any,
    fits: Callable[[Shape], bool] = uniform,
    low: float = -math.inf,
    high: float = math.inf,
    **options: Any,
) -> Argument:
    """The value of a quantity, in an open interval."""
    return Argument(Numbers(fits, low, high, form="quantity", **options), lambda: value)


def components(*value: float, positive: bool = False) -> Argument:
    """A quantity of three components."""
    return quantity(value, vectors, 0.0 if positive else -math.inf)


def tensor(make: Make, fits: Callable[[Shape], bool], **options: Any) -> Argument:
    return Argument(Numbers(fits, **{"form": "tensor", **options}), make)


def indices(make: Make, fits: Callable[[Shape], bool], low: int, high: int, **options: Any) -> Argument:
    return Argument(Numbers(fits, low, high, closed=True, whole=True, form="indices", **options), make)


def truth(value: Any, *words: Any) -> Argument:
    return Argument(Truth((True, False, *words)), lambda: value)


def choice(value: Any, *words: Any, other: Kind | None = None) -> Argument:
    return Argument(Choice((value, *words), other), lambda: value)


def instance(make: Make, *classes: type, words: tuple[Any, ...] = ()) -> Argument:
    return Argument(Instance(classes, words), make)


def function(make: Make, *, optional: bool = False) -> Argument:
    return Argument(Callables(optional), make)


def text(value: str, fits: Callable[[str], bool] = bool, **options: Any) -> Argument:
    return Argument(Text(fits, **options), lambda: value)


def selection(value: Any, names: Iterable[str], size: int, **options: Any) -> Argument:
    return Argument(Selection(size, tuple(names), **options), lambda: value)
