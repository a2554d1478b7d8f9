"""A pointwise energy of a module: traced once, with the values that it reads found anew for every call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from operator import attrgetter

import torch
from jaxtyping import Int
from torch import Tensor, nn

from simlayer.autodiff.pointwise import PointwiseEnergy
from simlayer.fem.finite_elements import cells_first
from simlayer.quantities.binding import Bound, bound, inputs_of
from simlayer.quantities.named import NamedTensors


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

    Attributes:
        reads: the names of what the energy reads of the module, each with the index of a component or None.
    """

    def __init__(
        self,
        module: nn.Module,
        energy: Callable[..., Tensor],
        arguments: Sequence[float],
        *,
        given: Sequence[float] = (),
        components: bool = False,
    ) -> None:
        weights = NamedTensors(module).weights
        scalars = {
            name: [value] if name in weights else _scalars(value, components)
            for name, value in inputs_of(module).items()
        }
        examples = [scalar for parts in scalars.values() for scalar in parts]

        def bound_energy(coefficients: tuple[Tensor, ...], point: tuple[Tensor, ...]) -> Tensor:
            values = iter(coefficients)
            bindings: dict[str, Bound] = {}
            for name, parts in scalars.items():
                own = tuple(islice(values, len(parts)))
                bindings[name] = own if len(own) > 1 else own[0]
            with bound(module, bindings):
                return energy(*values, *point)

        like = [torch.empty(()), *examples][-1]
        others, point = ([like.new_tensor(x) for x in numbers] for numbers in (given, arguments))
        super().__init__(bound_energy, [*examples, *others], point, shared=len(weights))
        names = [
            (name, k if components and name not in weights else None)
            for name, parts in scalars.items()
            for k in range(len(parts))
        ]
        self.reads = tuple(names[index] for index in self.used if index < len(names))

    def coefficients(
        self, module: nn.Module, batch_axes: int | None = None, *, regions: Int[Tensor, "M"] | None = None
    ) -> list[Tensor]:
        """Return what the energy reads of a module, aligned with fields over cells, points or samples.

        Weights are whole, values over cells `()` or `(M or 1, *batch or 1)`, components `()` or `(*batch)`.

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
        components = [component for _, component in self.reads[self.shared :]]
        return weights + [
            field if k is None or field.ndim == 0 else field[k]
            for field, k in zip(fields, components, strict=True)
        ]


def _scalars(value: Tensor, components: bool) -> Sequence[Tensor]:
    if components and value.ndim:
        return value.reshape(-1, value.shape[-1])[0].unbind()
    return [value.flatten()[0]]
