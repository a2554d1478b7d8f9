"""Functions that backward runs again, and their vector-Jacobian products."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from simlayer.repetition import Program

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
