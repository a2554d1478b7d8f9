"""Value, gradient and Hessian of a scalar energy as plain operators, traced once.

An energy density is written for scalars. Traced once, on scalars, its derivatives become graphs of plain
operators that broadcast over any number of cells, samples and parameters, and that work in eager mode,
under checkpointing, in forward mode, compiled, and differentiated again. `torch.func.grad` called inside a
step would not: it fails inside a checkpoint, and its graph would be rebuilt at every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.autodiff.partition import split
from simlayer.autodiff.scalar_derivatives import (
    Derivatives,
    directional_derivatives,
    simplified_graph,
    slopes,
)
from simlayer.autodiff.tracing import inputs_read, trace

# psi(coefficients, arguments) -> scalar
Energy = Callable[[tuple[Tensor, ...], tuple[Tensor, ...]], Tensor]

# At how many points second derivatives are computed at a time, so that they stay in a processor's cache.
_CACHED = 1200


class PointwiseEnergy(nn.Module):
    """A traced energy psi(coefficients, arguments) of scalars, and its first two derivatives.

    Args:
        energy: maps two tuples of 0-d tensors to a 0-d tensor by elementwise operations.
        coefficients: 0-d tensors to trace with, a valid value for each coefficient.
        arguments: 0-d tensors to trace with, a generic point.
        shared: how many of the first coefficients are not scalars but the weights of a network, equal
            everywhere. An energy with such weights may use every operation, and is mapped over the points
            instead of broadcast.

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

        def second(wanted: slice, along: slice) -> Derivatives:
            return directional_derivatives(value, wanted, along, count + size)

        own, every = slice(count, None), slice(None)
        inputs = [*(coefficients[index] for index in self.used), *arguments]
        self._value = simplified_graph(value, *inputs)
        self._hessian_product = simplified_graph(second(own, own), *inputs, *arguments)
        gradient, vjp = slopes(value, own), second(every, own)
        if self.shared:
            self._gradient = simplified_graph(gradient, *inputs)
            return

        def gradient_and_vjp(*tensors: Tensor) -> tuple[Tensor, ...]:
            return *gradient(*tensors[: count + size]), *vjp(*tensors)

        joint = simplified_graph(gradient_and_vjp, *inputs, *arguments)
        # Parts of one graph, which agree to the last bit.
        self._gradient, self._vjp = split(joint, count + size, size, keep=lambda node: False)
        self._keeping, self._vjp_from_kept = split(joint, count + size, size, keep=lambda node: True)
        self._jvp = simplified_graph(second(own, every), *inputs, *inputs)

    def value(self, coefficients: Sequence[Tensor], arguments: Sequence[Tensor]) -> Tensor:
        """Return the energy at every point."""
        return self._everywhere(self._value, coefficients, arguments)

    def gradient(self, coefficients: Sequence[Tensor], arguments: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the derivatives of the energy with respect to the arguments."""
        if not self.shared and torch.is_grad_enabled():
            return _PointwiseGradient.apply(self, *coefficients, *arguments)
        return self._everywhere(self._gradient, coefficients, arguments)

    def gradient_and_kept(
        self, coefficients: Sequence[Tensor], arguments: Sequence[Tensor]
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return the gradient, and what `vjp` at this point would otherwise compute again."""
        results = self._keeping(*coefficients, *arguments)
        return results[: len(arguments)], results[len(arguments) :]

    def vjp(
        self, inputs: Sequence[Tensor], cotangents: Sequence[Tensor], kept: Sequence[Tensor] = ()
    ) -> tuple[Tensor, ...]:
        """Return the gradient's vector-Jacobian products for coefficients and arguments, in their shapes.

        Differentiable where nothing was kept.
        """
        run = self._vjp_from_kept if kept else self._vjp
        gradients = run(*inputs, *kept, *cotangents)
        return tuple(_fitted(g, x.shape) for g, x in zip(gradients, inputs, strict=True))

    def jvp(self, inputs: Sequence[Tensor], directions: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the derivative of the gradient along a direction of coefficients and arguments."""
        return self._jvp(*inputs, *directions)

    def hessian_product(
        self, coefficients: Sequence[Tensor], arguments: Sequence[Tensor], direction: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """Return the derivative of the gradient along a direction of the arguments."""
        return self._everywhere(self._hessian_product, coefficients, [*arguments, *direction])

    def hessian(
        self, coefficients: Sequence[Tensor], arguments: Sequence[Tensor], *, point_axes: int
    ) -> Float[Tensor, "*batch_and_points n n"]:
        """Return the matrix of second derivatives by the n arguments.

        Coefficients and arguments have their `point_axes` axes of points first, then those of the batch.
        """
        # Column by column along the unit vectors, in one call: a graph of all entries would be three times as
        # long, slow to trace and, on a small mesh, slow to run.
        shape = torch.broadcast_shapes(*(t.shape for t in (*coefficients[self.shared :], *arguments)))
        count, axis = len(arguments), point_axes - 1
        result = arguments[0].new_empty(count, count, *shape)
        units = torch.eye(count).to(result).view(count, count, *[1] * len(shape)).unbind(1)
        length = shape[axis]
        cells = max(1, _CACHED * length // max(1, math.prod(shape)))

        def part(tensor: Tensor) -> Tensor:
            along = axis - len(shape)
            whole = tensor.ndim < -along or tensor.shape[along] == 1
            return tensor if whole else tensor.narrow(along, first, min(cells, length - first))

        for first in range(0, length, cells):
            values = [*coefficients[: self.shared], *map(part, coefficients[self.shared :])]
            columns = self.hessian_product(values, [*map(part, arguments)], units)
            place = result.narrow(axis - len(shape), first, min(cells, length - first))
            for row, column in enumerate(columns):
                place[row].copy_(column)
        return result.movedim((0, 1), (-2, -1)).movedim([*range(point_axes)], [*range(-2 - point_axes, -2)])

    def _everywhere(
        self, graph: Callable[..., Any], coefficients: Sequence[Tensor], arguments: Sequence[Tensor]
    ) -> Any:
        if not self.shared:
            return graph(*coefficients, *arguments)
        weights, fields = coefficients[: self.shared], [*coefficients[self.shared :], *arguments]
        shape = torch.broadcast_shapes(*(field.shape for field in fields))
        flat = [field.expand(shape).reshape(-1) for field in fields]
        mapped = torch.func.vmap(graph, (*[None] * len(weights), *[0] * len(flat)))(*weights, *flat)
        if isinstance(mapped, Tensor):
            return mapped.reshape(shape)
        return tuple(result.reshape(shape) for result in mapped)


class _PointwiseGradient(torch.autograd.Function):
    """The gradient as one node of the autograd graph, whose derivatives are traced graphs too.

    Recorded operator by operator, backward would execute twice as many.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(energy: PointwiseEnergy, *tensors: Tensor) -> tuple[Tensor, ...]:
        return energy._gradient(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.energy, *tensors = inputs
        ctx.shapes = [result.shape for result in output]
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *coderivatives: Tensor) -> tuple[Tensor | None, ...]:
        return None, *ctx.energy.vjp(ctx.saved_tensors, coderivatives)

    @staticmethod
    def jvp(ctx: Any, _: None, *directions: Tensor | None) -> tuple[Tensor, ...]:
        pairs = zip(ctx.saved_tensors, directions, strict=True)
        along = [torch.zeros_like(x) if dx is None else dx for x, dx in pairs]
        derivatives = ctx.energy.jvp(ctx.saved_tensors, along)
        return tuple(_fitted(t, shape) for t, shape in zip(derivatives, ctx.shapes, strict=True))


def _fitted(derivative: Tensor, shape: torch.Size) -> Tensor:
    """Sum a derivative over what the input was broadcast over; expand it where it is constant."""
    if derivative.shape == shape:
        return derivative
    if derivative.numel() <= shape.numel():
        derivative = derivative.expand(torch.broadcast_shapes(derivative.shape, shape))
    return derivative.sum_to_size(shape)


def _read(energy: Energy, coefficients: Sequence[Tensor], arguments: Sequence[Tensor]) -> tuple[int, ...]:
    """Return the indices of the coefficients that the energy depends on."""
    count = len(coefficients)
    graph = trace(lambda *tensors: energy(tensors[:count], tensors[count:]), *coefficients, *arguments)
    return tuple(index for index in inputs_read(graph) if index < count)
