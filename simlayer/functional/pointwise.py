"""The tracer: value, gradient and Hessian product of a scalar energy as plain operators.

An energy density is written for scalars. Traced once, on scalars, its derivatives become graphs of plain
operators that broadcast over any number of cells, samples and parameters, and that work in eager mode,
under checkpointing, in forward mode, compiled, and differentiated again. `torch.func.grad` called inside a
step would not: it fails inside a checkpoint, and its graph would be rebuilt at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from simlayer.functional.tracing import trace

# psi(coefficients, arguments) -> scalar
Energy = Callable[[tuple[Tensor, ...], tuple[Tensor, ...]], Tensor]


class PointwiseEnergy(nn.Module):
    """A traced energy psi(coefficients, arguments) of scalars, and its first two derivatives.

    Args:
        energy: maps two tuples of 0-d tensors to a 0-d tensor by elementwise operations.
        coefficients: 0-d tensors to trace with, a valid value each.
        arguments: 0-d tensors to trace with, a generic point.
        shared: how many of the first coefficients are no scalars but the weights of a network, the same
            everywhere. An energy with any may use every operation, and is mapped over the points instead of
            broadcast.

    Attributes:
        used: the indices of the coefficients that the energy reads; its methods take only these.
    """

    def __init__(
        self,
        energy: Energy,
        coefficients: Sequence[Tensor],
        arguments: Sequence[Tensor],
        *,
        shared: int = 0,
    ) -> None:
        super().__init__()
        self.used = _read(energy, coefficients, arguments)
        self.shared = sum(index < shared for index in self.used)
        count, size = len(self.used), len(arguments)
        values = list(coefficients)

        def value(*tensors: Tensor) -> Tensor:
            for index, tensor in zip(self.used, tensors, strict=False):
                values[index] = tensor
            return energy(tuple(values), tensors[count:])

        def gradient(*tensors: Tensor) -> tuple[Tensor, ...]:
            return torch.func.grad(lambda x: value(*tensors[:count], *x))(tensors[count:])

        def hessian_product(*tensors: Tensor) -> tuple[Tensor, ...]:
            fixed, x, direction = tensors[:count], tensors[count:-size], tensors[-size:]

            # Reverse over reverse: forward modes do not broadcast when they are traced on scalars.
            def slope(y: tuple[Tensor, ...]) -> Tensor:
                terms = [g * d for g, d in zip(gradient(*fixed, *y), direction, strict=True)]
                return sum(terms[1:], terms[0])

            return torch.func.grad(slope)(x)

        example = [*(coefficients[index] for index in self.used), *arguments]
        self._value = trace(value, *example)
        self._gradient = trace(gradient, *example)
        self._hessian_product = trace(hessian_product, *example, *arguments)

    def value(self, coefficients: Sequence[Tensor], arguments: Sequence[Tensor]) -> Tensor:
        """The energy at every point."""
        return self._everywhere(self._value, coefficients, arguments)

    def gradient(self, coefficients: Sequence[Tensor], arguments: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Its derivatives with respect to the arguments."""
        return self._everywhere(self._gradient, coefficients, arguments)

    def hessian_product(
        self, coefficients: Sequence[Tensor], arguments: Sequence[Tensor], direction: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """The derivative of the gradient along a direction."""
        return self._everywhere(self._hessian_product, coefficients, [*arguments, *direction])

    def _everywhere(
        self, graph: Callable[..., Any], coefficients: Sequence[Tensor], arguments: Sequence[Tensor]
    ) -> Any:
        if not self.shared:
            return graph(*coefficients, *arguments)
        weights, fields = coefficients[: self.shared], [*coefficients[self.shared :], *arguments]
        shape = torch.broadcast_shapes(*(field.shape for field in fields))
        flat = [field.expand(shape).reshape(-1) for field in fields]
        mapped = torch.func.vmap(graph, (*[None] * len(weights), *[0] * len(flat)))(*weights, *flat)
        return tree_map(lambda result: result.reshape(shape), mapped)


def _read(energy: Energy, coefficients: Sequence[Tensor], arguments: Sequence[Tensor]) -> tuple[int, ...]:
    """Which coefficients the energy depends on."""
    count = len(coefficients)
    graph = trace(lambda *tensors: energy(tensors[:count], tensors[count:]), *coefficients, *arguments)
    inputs = [node for node in graph.graph.nodes if node.op == "placeholder"][:count]
    return tuple(index for index, node in enumerate(inputs) if node.users)
