"""Derivatives of a function of scalars, as functions that are traced into simplified graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from simlayer.autodiff.simplify import simplify
from simlayer.autodiff.tracing import trace

Derivatives = Callable[..., tuple[Tensor, ...]]


def simplified_graph(function: Callable[..., Any], *example: Tensor) -> fx.GraphModule:
    """Trace a function, and simplify the graph."""
    graph = trace(function, *example)
    simplify(graph)
    return graph


def slopes(function: Callable[..., Tensor], wanted: slice) -> Derivatives:
    """Return the derivatives with respect to some of the inputs, as a function of all of them."""
    return lambda *x: torch.func.grad(lambda y: function(*_replaced(x, wanted, y)))(x[wanted])


def directional_derivatives(
    function: Callable[..., Tensor], wanted: slice, along: slice, num_inputs: int
) -> Derivatives:
    """Return the derivatives by the inputs `wanted` of the derivative in a direction of the inputs `along`.

    The function that is returned takes the inputs, then the direction.
    """

    # Reverse over reverse: forward modes do not broadcast when they are traced on scalars.
    def derivatives(*tensors: Tensor) -> tuple[Tensor, ...]:
        x, direction = tensors[:num_inputs], tensors[num_inputs:]

        def directional(y: tuple[Tensor, ...]) -> Tensor:
            gradient = slopes(function, along)(*_replaced(x, wanted, y))
            terms = [g * d for g, d in zip(gradient, direction, strict=True)]
            return sum(terms[1:], terms[0])

        return torch.func.grad(directional)(x[wanted])

    return derivatives


def _replaced(tensors: tuple[Tensor, ...], where: slice, new: Sequence[Tensor]) -> list[Tensor]:
    replaced = list(tensors)
    replaced[where] = new
    return replaced
