"""Explicit steps with their derivatives along several directions, traced into one graph and compiled."""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Sequence
from contextlib import nullcontext
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from simlayer.autodiff.simplify import merge_repeated
from simlayer.autodiff.tracing import inputs_read, trace
from simlayer.fem.compiler_layout import laid_out_for_compiler
from simlayer.rollout.compilation import compile_graph
from simlayer.rollout.step_function import Function
from simlayer.steps.base import Step

# How many directions share a graph, compiled and as it is: more take longer to compile or trace, fewer repeat
# the step more often.
TOGETHER, TOGETHER_EAGERLY = 2, 4

_TRACED: WeakKeyDictionary[Step, dict[Hashable, TangentStep]] = WeakKeyDictionary()


class TangentStep:
    """A step and its derivatives along a few directions, traced into one graph.

    Args:
        function: maps the tensors of a carry, then values, to those of a carry.
        example: tensors of the shapes, strides, dtypes and devices to trace for.
        active: which of them have derivatives.
        width: how many tensors of a carry have derivatives, the first ones.
        together: how many directions the graph has.
        backend: name of a torch compiler backend; None to run the graph as it is.
    """

    def __init__(
        self,
        function: Function,
        example: Sequence[Tensor],
        active: Sequence[bool],
        *,
        width: int,
        together: int,
        backend: str | None,
    ) -> None:
        self.width, self.together = width, together
        tensors = [tensor.detach() for tensor in example]
        moving = [torch.zeros_like(t) for t, is_active in zip(tensors, active, strict=True) if is_active]
        arguments = [*tensors, *moving * together]
        joint = functools.partial(_value_and_tangents, function, active, width)
        graph = trace(joint, *arguments)
        self._read = inputs_read(graph)

        def of_read(*given: Tensor) -> list[Tensor]:
            known = dict(zip(self._read, given, strict=True))
            return graph(*(known.get(index, own) for index, own in enumerate(arguments)))

        own = [arguments[index] for index in self._read]
        graph = trace(torch.func.functionalize(of_read), *own)
        merge_repeated(graph)
        self._run = graph if backend is None else compile_graph(graph, own, backend)

    def repeat(
        self,
        carry: Sequence[Tensor],
        tangents: Sequence[Tensor],
        values: Sequence[Tensor],
        changes: Sequence[Tensor],
        count: int,
    ) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Return the carry after `count` steps, and its derivatives along P directions.

        Args:
            carry: the tensors of a carry.
            tangents: the derivatives of the first of them, `(P, ...)` each.
            values: what the steps read besides.
            changes: the derivatives of those that are active, `(P, ...)` each.
            count: how many steps.
        """
        directions = len(tangents[0])
        moving: list[Sequence[Tensor]] = [[t[k].contiguous() for t in tangents] for k in range(directions)]
        fixed = [[change[k].contiguous() for change in changes] for k in range(directions)]
        # The last directions may be repeated to fill a group.
        groups = [
            [min(k, directions - 1) for k in range(first, first + self.together)]
            for first in range(0, directions, self.together)
        ]
        with torch.no_grad():
            for _ in range(count):
                before, number = carry, len(carry)
                for group in groups:
                    along = [tangent for k in group for tangent in (*moving[k], *fixed[k])]
                    arguments = [*before, *values, *along]
                    results = self._run(*(arguments[index] for index in self._read))
                    carry, ends = results[:number], results[number:]
                    for place, k in enumerate(group):
                        moving[k] = ends[place * self.width : (place + 1) * self.width]
        return carry, [torch.stack(parts) for parts in zip(*moving, strict=True)]


def _value_and_tangents(
    function: Function, active: Sequence[bool], width: int, *tensors: Tensor
) -> list[Tensor]:
    """Return the results, then the derivatives of the first ones along each direction.

    Args:
        function: the step.
        active: which of its arguments have derivatives.
        width: how many results have derivatives.
        tensors: the arguments, then the derivatives of the active ones along each direction.
    """
    count = len(active)
    with torch.enable_grad():
        arguments = [t.detach().requires_grad_(a) for t, a in zip(tensors, active, strict=False)]
        moving = [t for t, is_active in zip(arguments, active, strict=True) if is_active]
        results = tuple(function(*arguments))
        ends = [result for result in results[:width] if result.requires_grad]
        # Twice in reverse, because forward mode does not pass through a recorder of operators.
        weights = [torch.zeros_like(end, requires_grad=True) for end in ends]
        pulled = torch.autograd.grad(ends, moving, weights, create_graph=True, allow_unused=True)
        linear = [(k, g) for k, g in enumerate(pulled) if g is not None and g.requires_grad]
        changes: list[Tensor] = []
        for first in range(count, len(tensors), len(moving)):
            along = [tensors[first + k] for k, _ in linear]
            found = torch.autograd.grad(
                [g for _, g in linear], weights, along, retain_graph=True, allow_unused=True
            )
            each = iter(found)
            known = [next(each) if result.requires_grad else None for result in results[:width]]
            changes += [
                torch.zeros_like(result) if change is None else change.contiguous()
                for change, result in zip(known, results, strict=False)
            ]
    return [*(result.detach() for result in results), *changes]


def tangent_step(
    step: Step,
    key: Hashable,
    function: Function,
    example: Sequence[Tensor],
    active: Sequence[bool],
    *,
    width: int,
    directions: int,
    backend: str | None,
) -> TangentStep:
    """Return a step with its derivatives, traced and compiled at the first request for these shapes."""
    most = TOGETHER if backend else TOGETHER_EAGERLY
    together = math.ceil(directions / math.ceil(directions / most))
    traced = _TRACED.setdefault(step, {})
    shapes = tuple((tuple(t.shape), t.stride(), t.dtype, t.device) for t in example)
    key = (key, shapes, tuple(active), together, backend, torch.get_num_threads())
    if key not in traced:
        with laid_out_for_compiler(step) if backend else nullcontext():
            traced[key] = TangentStep(
                function, example, active, width=width, together=together, backend=backend
            )
    return traced[key]
