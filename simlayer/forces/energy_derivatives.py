"""Derivatives of an energy that a module defines, traced once per shape of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from simlayer.autodiff.tracing import trace
from simlayer.quantities.named import NamedTensors
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.returned import check_returned

Function = Callable[..., Tensor]

_SHAPE_HINT = (
    " A quantity has an axis for cells or vertices at its end, which .squeeze(-1) takes away if it has one "
    "value per sample."
)


class Derivatives:
    """The first two derivatives of `module.energy(*arguments)` with respect to its last argument.

    They are plain operators that work eagerly, checkpointed, compiled and in forward mode. Copies, pickled
    ones too, start without traced graphs.
    """

    def __init__(self) -> None:
        self._traced: dict[Hashable, fx.GraphModule] = {}

    def gradient(self, module: PhysicalModule, *arguments: Tensor) -> Tensor:
        """Return the gradient of the energies' sum over samples."""
        return self._derivative(_gradient, module, *arguments)

    def hessian_product(self, module: PhysicalModule, *arguments: Tensor) -> Tensor:
        """Return the derivative of the gradient along a direction, given after the arguments."""
        return self._derivative(_hessian_product, module, *arguments)

    def _derivative(self, derivative: Function, module: PhysicalModule, *arguments: Tensor) -> Tensor:
        # Buffers too, or a graph would keep those that it was traced with.
        named = NamedTensors(module)
        inputs = named.values() | named.buffers
        tensors = (*arguments, *inputs.values())
        key = (derivative, *((tuple(t.shape), t.dtype, t.device) for t in tensors))
        if key not in self._traced:
            # New tensors: these may belong to a transform, which the tracer's thread lacks.
            example = [torch.ones(t.shape, dtype=t.dtype, device=t.device) for t in tensors]
            run = partial(_reading, derivative, module, tuple(inputs), len(arguments))
            self._traced[key] = trace(run, *example)
        return self._traced[key](*tensors)

    def __getstate__(self) -> dict[str, Any]:
        return {"_traced": {}}


def _reading(
    derivative: Function, module: PhysicalModule, names: Sequence[str], count: int, *tensors: Tensor
) -> Tensor:
    """Return a derivative of the module's energy at the first tensors; it reads the others by these names."""
    with NamedTensors(module).substituted(dict(zip(names, tensors[count:], strict=True))):
        return derivative(module, *tensors[:count])


def _gradient(module: Any, *arguments: Tensor) -> Tensor:
    *others, last = arguments

    def total(x: Tensor) -> Tensor:
        energy = module.energy(*others, x)
        name = f"{type(module).__name__}.energy"
        check_returned(energy, x.shape[:-2], x, name=name, rule="one energy per sample", hint=_SHAPE_HINT)
        return energy.sum()

    return torch.func.grad(total)(last)


def _hessian_product(module: Any, *arguments: Tensor) -> Tensor:
    *others, last, direction = arguments
    return torch.func.grad(lambda x: (_gradient(module, *others, x) * direction).sum())(last)
