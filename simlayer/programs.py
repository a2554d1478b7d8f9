"""Functions of tensors as single nodes of the autograd graph, which keep little for backward."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., Sequence[Tensor]]


class Program(ABC):
    """A step's function and its vector-Jacobian product; called, it is one node of the autograd graph.

    Args:
        num_outputs: how many of the results of `run` are outputs, the next state; the others are kept for
            `pullback`. As many of the first arguments are the state; the others, all steps may share.
        differentiable: which inputs may need a gradient.
        read: the indices of the arguments that are inputs; the function does not read the others.
    """

    def __init__(self, num_outputs: int, differentiable: Sequence[bool], read: Sequence[int]) -> None:
        self.num_outputs, self.read = num_outputs, tuple(read)
        self.differentiable = tuple(differentiable[index] for index in read)
        self.num_states = sum(index < num_outputs for index in read)

    def __call__(self, *arguments: Tensor) -> tuple[Tensor, ...]:
        tensors = [arguments[index] for index in self.read]
        if not any(self.differentiable):
            return tuple(self.run(*tensors))
        return _Run.apply(self, *tensors)

    @abstractmethod
    def run(self, *tensors: Tensor) -> Sequence[Tensor]:
        """Outputs and what is kept, from inputs."""

    @abstractmethod
    def pullback(self, *tensors: Tensor) -> Sequence[Tensor]:
        """Gradients of the differentiable inputs, from inputs, what was kept, and cotangents."""


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

    def pullback(self, *tensors: Tensor) -> Sequence[Tensor]:
        return with_pullback(self._function, self.differentiable, *tensors)[self.num_outputs :]


class _Run(torch.autograd.Function):
    """A program under autograd."""

    @staticmethod
    def forward(ctx: Any, program: Program, *tensors: Tensor) -> tuple[Tensor, ...]:
        results = tuple(program.run(*tensors))
        ctx.program = program
        # Referred to, not saved: under a checkpoint, whatever a node saves takes it 300 bytes, and every step
        # reads some thirty quantities and buffers.
        ctx.shared = tensors[program.num_states :]
        ctx.versions = [tensor._version for tensor in ctx.shared]
        ctx.save_for_backward(*tensors[: program.num_states], *results[program.num_outputs :])
        return results[: program.num_outputs]

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "a compiled or checkpointed rollout cannot be differentiated twice (create_graph=True); use "
                "RolloutModule(..., compile=False, checkpoint='none')."
            )
        if [tensor._version for tensor in ctx.shared] != ctx.versions:
            raise RuntimeError(
                "a quantity or buffer of a rollout was modified in place between its forward and its "
                "backward pass: call backward before the optimizer's step, or run forward again."
            )
        program = ctx.program
        saved, count = ctx.saved_tensors, program.num_states
        tensors = (*saved[:count], *ctx.shared, *saved[count:])
        gradients = iter(program.pullback(*tensors, *cotangents))
        return None, *(next(gradients) if needed else None for needed in program.differentiable)


def with_pullback(function: Function, differentiable: Sequence[bool], *tensors: Tensor) -> tuple[Tensor, ...]:
    """The outputs, and the gradients of the differentiable inputs, of inputs followed by cotangents."""
    count = len(differentiable)
    with torch.enable_grad():
        inputs = [t.detach().requires_grad_(d) for t, d in zip(tensors, differentiable, strict=False)]
        wanted = [t for t, d in zip(inputs, differentiable, strict=True) if d]
        outputs = tuple(function(*inputs))
        # What is only watched has no gradient.
        pairs = [(out, ct) for out, ct in zip(outputs, tensors[count:], strict=True) if out.requires_grad]
        ends, cotangents = zip(*pairs, strict=True)
        gradients = torch.autograd.grad(ends, wanted, cotangents, allow_unused=True, materialize_grads=True)
    return *outputs, *gradients
