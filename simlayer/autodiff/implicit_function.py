"""The derivative of a solution, by one linear solve, however the solution was found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.autodiff.torch_private import transforms_active


class ImplicitFunction(ABC):
    """Positions x that make a residual r(x, inputs) zero, where its derivative dr/dx is symmetric.

    Called with the inputs it is differentiable in them, by the implicit function theorem: backward solves
    with dr/dx once and takes one vector-Jacobian product of the residual. It keeps x and the inputs.
    """

    def __call__(self, *inputs: Tensor) -> Float[Tensor, "*batch N 3"]:
        if transforms_active():
            raise RuntimeError(
                "an implicit step cannot be called in a transform of torch.func (grad, vmap, jacrev, ...): "
                "use torch.autograd.grad, torch.autograd.functional.jacobian, or a batch in place of vmap."
            )
        return _ImplicitNode.apply(self, *inputs)

    @abstractmethod
    def find(self, *inputs: Tensor) -> Float[Tensor, "*batch N 3"]:
        """Return positions where the residual is zero."""

    @abstractmethod
    def residual(self, positions: Float[Tensor, "*batch N 3"], *inputs: Tensor) -> Tensor:
        """Return the residual, by operators that autograd can differentiate in the inputs."""

    @abstractmethod
    def solve(self, positions: Tensor, right: Tensor, *inputs: Tensor) -> Tensor:
        """Return the solution y of (dr/dx) y = right; raises ConvergenceError."""


class _ImplicitNode(torch.autograd.Function):
    @staticmethod
    def forward(function: ImplicitFunction, *inputs: Tensor) -> Tensor:
        return function.find(*inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.function, *tensors = inputs
        ctx.save_for_backward(output, *tensors)
        ctx.save_for_forward(output, *tensors)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("an implicit step cannot be differentiated twice (create_graph=True).")
        positions, *inputs = ctx.saved_tensors
        adjoint = -ctx.function.solve(positions, cotangent, *inputs)
        needed = ctx.needs_input_grad[1:]
        with torch.enable_grad():
            inputs = [x.detach().requires_grad_(n) for x, n in zip(inputs, needed, strict=True)]
            residual = ctx.function.residual(positions, *inputs)
            wanted = [x for x, n in zip(inputs, needed, strict=True) if n]
            found = iter(torch.autograd.grad(residual, wanted, adjoint, allow_unused=True))
        return None, *(next(found) if n else None for n in needed)

    @staticmethod
    def jvp(ctx: Any, _: None, *directions: Tensor | None) -> Tensor:
        positions, *inputs = ctx.saved_tensors
        change = _residual_change(ctx.function, positions, inputs, directions)
        return -ctx.function.solve(positions, change, *inputs)


def _residual_change(
    function: ImplicitFunction,
    positions: Tensor,
    inputs: Sequence[Tensor],
    directions: Sequence[Tensor | None],
) -> Tensor:
    """Return the derivative of the residual along directions, from that of a vector-Jacobian product."""
    pairs = [(k, d) for k, d in enumerate(directions) if d is not None]
    with torch.enable_grad():
        inputs = [x.detach().requires_grad_(d is not None) for x, d in zip(inputs, directions, strict=True)]
        residual = function.residual(positions.detach(), *inputs)
        weight = torch.zeros_like(residual, requires_grad=True)
        wanted = [inputs[k] for k, _ in pairs]
        pulled = torch.autograd.grad(
            residual, wanted, weight, create_graph=True, allow_unused=True, materialize_grads=True
        )
        total = sum(((g * d).sum() for g, (_, d) in zip(pulled, pairs, strict=True)), weight.sum() * 0)
        return torch.autograd.grad(total, weight)[0].detach()
