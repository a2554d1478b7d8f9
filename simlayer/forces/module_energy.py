"""A pointwise energy of a module: traced once, with the values that it reads found anew for every call."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Sequence
from operator import attrgetter
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from simlayer.autodiff.pointwise import PointwiseEnergy
from simlayer.autodiff.tracing import inputs_read
from simlayer.fem.fields import cells_first
from simlayer.quantities.named import NamedTensors
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.returned import check_returned

# Tracing takes seconds, copying what was traced takes milliseconds.
_TRACED: dict[Hashable, ModuleEnergy] = {}


class ModuleEnergy(PointwiseEnergy):
    """A traced energy whose coefficients are the quantities, derived values and weights of a module.

    It keeps no reference to the module: what it reads from one, it finds in any other of the same kind.

    Args:
        module: whose values the energy reads by their names, as 0-d tensors; weights of networks whole.
        energy: maps the 0-d tensors of `given` and `arguments` to a 0-d tensor by elementwise operations.
        arguments: a generic point to trace at; derivatives are with respect to these.
        given: values to trace with of further inputs, which follow the module's coefficients. Each is read.
        components: whether the last axis of the module's values runs over components, which the energy reads
            as a tuple, and not over cells.
        method: the name of the module's method behind the energy, for messages.

    Attributes:
        reads: the names of what the energy reads of the module, each with the index of a component or None.

    Raises:
        TypeError: if the energy is not a 0-d tensor.
        TracingError: if it cannot be traced.
    """

    def __init__(
        self,
        module: nn.Module,
        energy: Callable[..., Tensor],
        arguments: Sequence[float],
        *,
        given: Sequence[float] = (),
        components: bool = False,
        method: str = "energy",
    ) -> None:
        named = NamedTensors(module)
        weights, values = named.weights, named.values()
        parts = [
            (name, component, part)
            for name, value in values.items()
            for component, part in ([(None, value)] if name in weights else _parts(value, components))
        ]
        examples = [part for _, _, part in parts]

        def bound_energy(coefficients: tuple[Tensor, ...], point: tuple[Tensor, ...]) -> Tensor:
            own: dict[str, tuple[Tensor, ...]] = dict.fromkeys(values, ())
            for (name, _, _), value in zip(parts, coefficients, strict=False):
                own[name] += (value,)
            with named.substituted({name: v[0] if len(v) == 1 else v for name, v in own.items()}):
                value = energy(*coefficients[len(parts) :], *point)
            called = f"{type(module).__name__}.{method}"
            check_returned(value, (), point[0], name=called, rule="one number per point")
            return value

        like = [torch.empty(()), *examples][-1]
        others, point = ([like.new_tensor(x) for x in numbers] for numbers in (given, arguments))
        super().__init__(bound_energy, [*examples, *others], point, shared=len(weights))
        if max(inputs_read(self._value), default=-1) < len(self.used):
            name = f"{type(module).__name__}.{method}"
            raise ValueError(f"{name} does not depend on its arguments, so that all its forces are zero.")
        self.reads = tuple(parts[index][:2] for index in self.used if index < len(parts))

    @classmethod
    def of_kind(
        cls, module: nn.Module, energy: Callable[..., Tensor], arguments: Sequence[float], **options: Any
    ) -> ModuleEnergy:
        """Return the traced energy of a module, a copy if one of its class and settings was traced before.

        Only for the package's own classes: what a user's class reads besides its own attributes is not
        known, and frozen when it is traced. Arguments as for the constructor.
        """
        parts = [(name, part) for name, part in module.named_modules() if isinstance(part, PhysicalModule)]
        settings = [(name, type(part), _settings(part)) for name, part in parts]
        dtypes = {parameter.dtype for parameter in module.parameters()}
        key = (str(options), str(settings), str(dtypes))
        own = __name__.split(".")[0]
        if any(type(part).__module__.split(".")[0] != own for _, part in parts):
            return cls(module, energy, arguments, **options)
        if key not in _TRACED:
            _TRACED[key] = cls(module, energy, arguments, **options)
        # A copy, because modules have a mode and a device of their own.
        return copy.deepcopy(_TRACED[key])

    def coefficients(
        self, module: nn.Module, batch_axes: int | None = None, *, regions: Int[Tensor, "M"] | None = None
    ) -> list[Tensor]:
        """Return what the energy reads of a module, aligned with fields over cells, points or samples.

        Weights are whole, components `(*batch)`, and other values `()` or `(M or 1, *batch or 1)`.

        Args:
            module: of the kind that was traced.
            batch_axes: how many the fields have; as many as the values themselves by default.
            regions: the region of each cell, for values over regions.
        """
        found = [attrgetter(name)(module) for name, _ in self.reads]
        weights, values = found[: self.shared], found[self.shared :]
        if batch_axes is None:
            batch_axes = max([0, *(value.ndim - 1 for value in values)])
        fields = [cells_first(value, batch_axes, regions=regions) for value in values]
        return weights + [
            field if component is None else field[component]
            for field, (_, component) in zip(fields, self.reads[self.shared :], strict=True)
        ]


def _settings(module: nn.Module) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}


def _parts(value: Tensor, components: bool) -> list[tuple[int | None, Tensor]]:
    """The components of a value, or one of its values over cells, each as a 0-d tensor."""
    if components and value.ndim and value.shape[-1] > 1:
        return [*enumerate(value.reshape(-1, value.shape[-1])[0])]
    return [(None, value.flatten()[0])]
