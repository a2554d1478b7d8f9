"""A step as a function of tensors, repeated as one node of the autograd graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from simlayer.autodiff.torch_private import version
from simlayer.errors import SimulationError

T = TypeVar("T")


def repeated(step: Callable[[T], T], state: T, count: int) -> T:
    """The state after so many steps; an error in one of them is told which."""
    for index in range(count):
        try:
            state = step(state)
        except SimulationError as error:
            error.steps_before = index
            raise
    return state


class Program(ABC):
    """A step's function and its vector-Jacobian product; repeated, it is one node of the autograd graph.

    Args:
        num_outputs: how many of the results of `run` are outputs, the next state; the others are kept for
            `pullback`. As many of the first arguments are the state; the others, all steps share.
        differentiable: which arguments may need a gradient.
        read: the indices of the arguments that are inputs; the function does not read the others.
    """

    def __init__(self, num_outputs: int, differentiable: Sequence[bool], read: Sequence[int]) -> None:
        self.num_outputs = num_outputs
        self.differentiable = tuple(differentiable[index] for index in read)
        self.state_read = tuple(index for index in read if index < num_outputs)
        self.values_read = tuple(index - num_outputs for index in read if index >= num_outputs)
        wanted = [index for index in read if differentiable[index]]
        self.state_wanted = tuple(index for index in wanted if index < num_outputs)
        self.values_wanted = tuple(index - num_outputs for index in wanted if index >= num_outputs)

    def repeat(
        self, state: Sequence[Tensor], values: Sequence[Tensor], count: int
    ) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """The state after so many steps that read these values, and the values for the steps after them."""
        shared = [values[index] for index in self.values_read]
        if not any(self.differentiable):
            return repeated(lambda now: self._outputs(now, shared), state, count), values
        results = _Repeated.apply(self, count, *state, *shared)
        values = list(values)
        for index, passed in zip(self.values_wanted, results[self.num_outputs :], strict=True):
            values[index] = passed
        return results[: self.num_outputs], values

    def _outputs(self, state: Sequence[Tensor], shared: Sequence[Tensor]) -> Sequence[Tensor]:
        return self.run(*(state[index] for index in self.state_read), *shared)[: self.num_outputs]

    @abstractmethod
    def run(self, *tensors: Tensor) -> Sequence[Tensor]:
        """Outputs and what is kept, from inputs."""

    @abstractmethod
    def pullback(self, *tensors: Tensor) -> Sequence[Tensor | None]:
        """Gradients of the differentiable inputs, from inputs, what was kept, and cotangents."""


class _Repeated(torch.autograd.Function):
    """A program repeated, under autograd.

    The values that all steps share are handed on to the nodes after it, so that their gradients come back
    with what all later steps have added to them. However steps are divided among nodes, they are summed in
    the same order, and the gradients are the same to the last bit.
    """

    @staticmethod
    def forward(ctx: Any, program: Program, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        number, saved = program.num_outputs, []
        start: Sequence[Tensor] = tensors[:number]
        shared = tensors[number:]

        def step(state: Sequence[Tensor]) -> Sequence[Tensor]:
            before = [state[index] for index in program.state_read]
            results = program.run(*before, *shared)
            saved.append((*before, *results[number:]))
            return results[:number]

        ctx.set_materialize_grads(False)
        ctx.program, ctx.count = program, count
        ctx.shapes = [tensor.shape for tensor in start]
        # Referred to, not saved: under a checkpoint, whatever a node saves takes it 300 bytes.
        ctx.shared, ctx.versions = shared, list(map(version, shared))
        end = repeated(step, start, count)
        ctx.save_for_backward(*(tensor for each in saved for tensor in each))
        values = dict(zip(program.values_read, shared, strict=True))
        return *end, *(values[index].detach() for index in program.values_wanted)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "a compiled or checkpointed rollout cannot be differentiated twice (create_graph=True); use "
                "RolloutModule(..., compile=False, checkpoint='none')."
            )
        if list(map(version, ctx.shared)) != ctx.versions:
            raise RuntimeError(
                "a quantity or buffer of a rollout was modified in place between its forward and its "
                "backward pass: call backward before the optimizer's step, or run forward again."
            )
        program, saved = ctx.program, ctx.saved_tensors
        number, known = program.num_outputs, next(each for each in cotangents if each is not None)
        zeros = [known.new_zeros(shape) for shape in ctx.shapes]
        pairs = zip(cotangents[:number], zeros, strict=True)
        state = [zero if each is None else each for each, zero in pairs]
        total, width = list(cotangents[number:]), len(saved) // ctx.count
        inputs, carried = len(program.state_read), len(program.state_wanted)
        for first in range(len(saved) - width, -1, -width):
            own = saved[first : first + width]
            gradients = program.pullback(*own[:inputs], *ctx.shared, *own[inputs:], *state)
            state = zeros.copy()
            for index, gradient in zip(program.state_wanted, gradients, strict=False):
                if gradient is not None:
                    state[index] = gradient
            total = list(map(_sum, total, gradients[carried:]))
        values = dict(zip(program.values_wanted, total, strict=True))
        return None, None, *state, *(values.get(index) for index in program.values_read)


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """The sum of two gradients, either of which there may not be."""
    return b if a is None else a if b is None else a + b


Function = Callable[..., Sequence[Tensor]]


class Recomputed(Program):
    """A function that backward runs again, eagerly, from its inputs: it keeps nothing else.

    A checkpoint drops tensors, but not the nodes of the graph: several hundred for an eager step, a megabyte
    with all that belongs to them, so that memory would still grow with the number of steps.
    """

    def __init__(self, function: Function, num_outputs: int, differentiable: Sequence[bool]) -> None:
        super().__init__(num_outputs, differentiable, range(len(differentiable)))
        self._function = function

    def run(self, *tensors: Tensor) -> Sequence[Tensor]:
        return self._function(*tensors)

    def pullback(self, *tensors: Tensor) -> Sequence[Tensor | None]:
        return with_pullback(self._function, self.differentiable, *tensors)[self.num_outputs :]


def with_pullback(
    function: Function, differentiable: Sequence[bool], *tensors: Tensor
) -> tuple[Tensor | None, ...]:
    """The outputs, and the gradients of the differentiable inputs, of inputs followed by cotangents.

    None for the gradient of what the outputs do not depend on.
    """
    count = len(differentiable)
    with torch.enable_grad():
        inputs = [t.detach().requires_grad_(d) for t, d in zip(tensors, differentiable, strict=False)]
        wanted = [t for t, d in zip(inputs, differentiable, strict=True) if d]
        outputs = tuple(function(*inputs))
        # What is only watched has no gradient.
        pairs = [(out, ct) for out, ct in zip(outputs, tensors[count:], strict=True) if out.requires_grad]
        ends, cotangents = zip(*pairs, strict=True)
        gradients = torch.autograd.grad(ends, wanted, cotangents, allow_unused=True)
    return *outputs, *gradients
