"""A step as a function of tensors, and many steps as one node of the autograd graph.

Autograd, the compiler and checkpoints take tensors one after another, and everybody else takes them by name:
a `StepFunction` is where the one becomes the other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
from torch import Tensor

from simlayer.autodiff.torch_private import modification_counts
from simlayer.errors import SimulationError
from simlayer.quantities.snapshot import modified_in_place

# Maps tensors to tensors: those of the carry, then values in the order of their names, to those of the carry.
Function = Callable[..., Sequence[Tensor]]
T = TypeVar("T")


def repeated(step: Callable[[T], T], carry: T, count: int) -> T:
    """Apply `step` `count` times; a SimulationError records how many steps were completed before."""
    for index in range(count):
        try:
            carry = step(carry)
        except SimulationError as error:
            error.steps_before = index
            raise
    return carry


class StepFunction(ABC):
    """A step as a function with its vector-Jacobian product; repeated, it is one node of the autograd graph.

    Its arguments are the tensors of the carry, then the values that all steps share.

    Args:
        names: of the values, in the order in which they follow the carry.
        num_outputs: how many tensors a carry has. The other results of `run` are kept for `vjp`.
        differentiable: which arguments may need a gradient.
        read: the indices of the arguments that the function reads, which are those that `run` takes.
    """

    def __init__(
        self, names: Sequence[str], num_outputs: int, differentiable: Sequence[bool], read: Sequence[int]
    ) -> None:
        self.num_outputs = num_outputs
        self.differentiable = tuple(differentiable[index] for index in read)
        self.carry_read = tuple(index for index in read if index < num_outputs)
        self.values_read = tuple(names[index - num_outputs] for index in read if index >= num_outputs)
        wanted = [index for index in read if differentiable[index]]
        self.carry_wanted = tuple(index for index in wanted if index < num_outputs)
        self.values_wanted = tuple(names[index - num_outputs] for index in wanted if index >= num_outputs)

    def repeat(
        self, carry: Sequence[Tensor], values: Mapping[str, Tensor], count: int
    ) -> tuple[Sequence[Tensor], Mapping[str, Tensor]]:
        """Return the carry after `count` steps with these values, and the values for the steps after them."""
        shared = [values[name] for name in self.values_read]
        if not any(self.differentiable):
            return repeated(lambda now: self._outputs(now, shared), carry, count), values
        results = _RepeatedSteps.apply(self, count, *carry, *shared)
        passed = zip(self.values_wanted, results[self.num_outputs :], strict=True)
        return results[: self.num_outputs], {**values, **dict(passed)}

    def _outputs(self, carry: Sequence[Tensor], shared: Sequence[Tensor]) -> Sequence[Tensor]:
        return self.run(*(carry[index] for index in self.carry_read), *shared)[: self.num_outputs]

    @abstractmethod
    def run(self, *tensors: Tensor) -> Sequence[Tensor]:
        """Return the outputs and what is kept, from the arguments that are read."""

    @abstractmethod
    def vjp(self, *tensors: Tensor) -> Sequence[Tensor | None]:
        """Return gradients of the differentiable arguments.

        Takes the arguments that are read, what was kept, and cotangents of the outputs.
        """


class RecomputedStep(StepFunction):
    """A step that backward runs again, eagerly, from its arguments: it keeps nothing else.

    A checkpoint drops tensors, but not the nodes of the graph: several hundred for an eager step, a megabyte
    with all that belongs to them, so that memory would still grow with the number of steps.

    Args:
        as_called: returns a context in which the function reads the settings that the call was made with.
        function, names, num_outputs, differentiable: as for `StepFunction`.
    """

    def __init__(
        self,
        function: Function,
        names: Sequence[str],
        num_outputs: int,
        differentiable: Sequence[bool],
        as_called: Callable[[], AbstractContextManager[None]],
    ) -> None:
        super().__init__(names, num_outputs, differentiable, range(len(differentiable)))
        self._function, self._as_called = function, as_called

    def run(self, *tensors: Tensor) -> Sequence[Tensor]:
        return self._function(*tensors)

    def vjp(self, *tensors: Tensor) -> Sequence[Tensor | None]:
        with self._as_called():
            return value_and_vjp(self._function, self.differentiable, *tensors)[self.num_outputs :]


def value_and_vjp(
    function: Function, differentiable: Sequence[bool], *tensors: Tensor
) -> tuple[Tensor | None, ...]:
    """Return the outputs, and the gradients of the differentiable arguments, of arguments and cotangents.

    The gradient is None for what the outputs do not depend on.
    """
    count = len(differentiable)
    with torch.enable_grad():
        arguments = [t.detach().requires_grad_(d) for t, d in zip(tensors, differentiable, strict=False)]
        wanted = [t for t, d in zip(arguments, differentiable, strict=True) if d]
        outputs = tuple(function(*arguments))
        # What is only recorded has no gradient.
        pairs = [(out, ct) for out, ct in zip(outputs, tensors[count:], strict=True) if out.requires_grad]
        if not pairs:
            return *outputs, *(None for _ in wanted)
        ends, cotangents = zip(*pairs, strict=True)
        gradients = torch.autograd.grad(ends, wanted, cotangents, allow_unused=True)
    return *outputs, *gradients


def recomputed(
    function: Callable[..., Sequence[Tensor]], tensors: Sequence[Tensor], kept: int
) -> Sequence[Tensor]:
    """Return the results of a function as one node of the graph, whose backward calls the function again.

    Args:
        function: maps tensors to tensors.
        tensors: its arguments.
        kept: how many of them, the first ones, belong to this call; others are shared with other calls.
    """
    return _Recomputed.apply(function, kept, *tensors)


class _Recomputed(torch.autograd.Function):
    """A function that keeps its arguments only."""

    @staticmethod
    def forward(ctx: Any, function: Function, kept: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.function, ctx.kept = function, kept
        # Referred to, not saved: under a checkpoint, whatever a node saves takes it 300 bytes.
        ctx.shared = tensors[kept:]
        ctx.versions = modification_counts(ctx.shared)
        ctx.save_for_backward(*tensors[:kept])
        return tuple(function(*tensors))

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        if modification_counts(ctx.shared) != ctx.versions:
            raise modified_in_place()
        tensors = (*ctx.saved_tensors, *ctx.shared)
        needed = ctx.needs_input_grad[2:]
        found = value_and_vjp(ctx.function, needed, *tensors, *cotangents)
        gradients = iter(found[len(cotangents) :])
        return None, None, *(next(gradients) if is_needed else None for is_needed in needed)


class _RepeatedSteps(torch.autograd.Function):
    """Steps with the same values, under autograd.

    The values that all steps share are passed on to the nodes after it, so that their gradients come back
    with what all later steps have added to them. However steps are divided among nodes, they are summed in
    the same order, and the gradients are the same, at most up to the rounding of a few operations.
    """

    @staticmethod
    def forward(ctx: Any, function: StepFunction, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        number, saved = function.num_outputs, []
        start: Sequence[Tensor] = tensors[:number]
        shared = tensors[number:]

        def step(carry: Sequence[Tensor]) -> Sequence[Tensor]:
            before = [carry[index] for index in function.carry_read]
            results = function.run(*before, *shared)
            saved.append((*before, *results[number:]))
            return results[:number]

        ctx.set_materialize_grads(False)
        ctx.function, ctx.count = function, count
        ctx.shapes = [tensor.shape for tensor in start]
        # Referred to, not saved: under a checkpoint, whatever a node saves takes it 300 bytes.
        ctx.shared, ctx.versions = shared, modification_counts(shared)
        end = repeated(step, start, count)
        ctx.save_for_backward(*(tensor for each in saved for tensor in each))
        values = dict(zip(function.values_read, shared, strict=True))
        return *end, *(values[name].detach() for name in function.values_wanted)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "a compiled or checkpointed rollout cannot be differentiated twice (create_graph=True); use "
                "RolloutModule(..., compile=False, checkpoint='none')."
            )
        if modification_counts(ctx.shared) != ctx.versions:
            raise modified_in_place()
        function, saved = ctx.function, ctx.saved_tensors
        if all(each is None for each in cotangents[: function.num_outputs]):  # the steps after are cut off
            passed = dict(zip(function.values_wanted, cotangents[function.num_outputs :], strict=True))
            carry_gradients = [None] * len(ctx.shapes)
            return None, None, *carry_gradients, *(passed.get(name) for name in function.values_read)
        number, example = function.num_outputs, next(each for each in cotangents if each is not None)
        zeros = [example.new_zeros(shape) for shape in ctx.shapes]
        pairs = zip(cotangents[:number], zeros, strict=True)
        carry = [zero if each is None else each for each, zero in pairs]
        total, width = list(cotangents[number:]), len(saved) // ctx.count
        inputs, carried = len(function.carry_read), len(function.carry_wanted)
        for first in range(len(saved) - width, -1, -width):
            own = saved[first : first + width]
            gradients = function.vjp(*own[:inputs], *ctx.shared, *own[inputs:], *carry)
            carry = zeros.copy()
            for index, gradient in zip(function.carry_wanted, gradients, strict=False):
                if gradient is not None:
                    carry[index] = gradient
            total = list(map(_sum, total, gradients[carried:]))
        values = dict(zip(function.values_wanted, total, strict=True))
        return None, None, *carry, *(values.get(name) for name in function.values_read)


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """Return the sum of two gradients, where None is zero."""
    return b if a is None else a if b is None else a + b
