"""The derivative of a solution, by one linear solve, however the solution was found."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.autodiff.forward_mode import along_directions, call_with_tangents, carries_tangents
from simlayer.autodiff.torch_private import forward_mode_alone


class ImplicitFunction(ABC):
    """Values x, such as positions, that make a residual r(x, inputs) zero; its derivative dr/dx is symmetric.

    Called with the inputs it is differentiable in them, by the implicit function theorem: backward solves
    with dr/dx once and takes one vector-Jacobian product of the residual. It keeps x, the inputs, and what
    `find` has left for it.

    Attributes:
        kept: what `find` leaves for backward, if anything.
    """

    kept: Sequence[Tensor] = ()

    def __call__(self, *inputs: Tensor) -> Float[Tensor, "*shape"]:
        if carries_tangents(inputs):
            return call_with_tangents(functools.partial(_found, self), inputs)[0]
        if not forward_mode_alone():
            raise RuntimeError(
                "an implicit step cannot be called in a transform of torch.func (grad, vmap, jacrev, ...) "
                "unless it is jvp or jacfwd: use torch.autograd.grad, torch.autograd.functional.jacobian, or "
                "a batch in place of vmap."
            )
        return _ImplicitNode.apply(self, *inputs)

    @abstractmethod
    def find(self, *inputs: Tensor) -> Float[Tensor, "*shape"]:
        """Return positions where the residual is zero."""

    @abstractmethod
    def residual(self, positions: Float[Tensor, "*shape"], *inputs: Tensor) -> Tensor:
        """Return the residual, by operators that autograd can differentiate in the inputs."""

    @abstractmethod
    def solve(self, positions: Tensor, right: Tensor, *inputs: Tensor) -> Tensor:
        """Return the solution y of (dr/dx) y = right; raises ConvergenceError.

        There may be several right-hand sides, on an axis before those of the positions.
        """

    def solve_with(self, kept: Sequence[Tensor], positions: Tensor, right: Tensor, *inputs: Tensor) -> Tensor:
        """Return the solution for one right-hand side, given what `find` has left for it."""
        return self.solve(positions, right, *inputs)


class _ImplicitNode(torch.autograd.Function):
    @staticmethod
    def forward(function: ImplicitFunction, *inputs: Tensor) -> Tensor:
        return function.find(*inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.function, *tensors = inputs
        ctx.number = len(tensors)
        # Saved, so that it is freed with the graph.
        ctx.save_for_backward(output, *tensors, *ctx.function.kept)
        ctx.save_for_forward(output, *tensors)
        ctx.function.kept = ()

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("an implicit step cannot be differentiated twice (create_graph=True).")
        positions, *saved = ctx.saved_tensors
        inputs, kept = saved[: ctx.number], saved[ctx.number :]
        adjoint = -ctx.function.solve_with(kept, positions, cotangent, *inputs)
        needed = ctx.needs_input_grad[1:]
        with torch.enable_grad():
            inputs = [x.detach().requires_grad_(n) for x, n in zip(inputs, needed, strict=True)]
            residual = ctx.function.residual(positions, *inputs)
            wanted = [x for x, n in zip(inputs, needed, strict=True) if n]
            found = iter(torch.autograd.grad(residual, wanted, adjoint, allow_unused=True))
        return None, *(next(found) if n else None for n in needed)

    @staticmethod
    def vmap(info: Any, in_dims: Any, function: ImplicitFunction, *inputs: Tensor) -> tuple[Tensor, int]:
        samples = (
            [x if axis is None else x.select(axis, k) for x, axis in zip(inputs, in_dims[1:], strict=True)]
            for k in range(info.batch_size)
        )
        return torch.stack([_ImplicitNode.apply(function, *sample) for sample in samples]), 0

    @staticmethod
    def jvp(ctx: Any, _: None, *directions: Tensor | None) -> Tensor:
        positions, *inputs = ctx.saved_tensors[: 1 + ctx.number]
        run = functools.partial(_at_solution, ctx.function)
        along = [None, *(d if d is None else d[None] for d in directions)]
        return along_directions(run, [positions, *inputs], along)[1][0][0]


def _found(
    function: ImplicitFunction, inputs: Sequence[Tensor], directions: Sequence[Tensor | None]
) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Return the solution, and its derivatives along directions of the inputs."""
    return _at_solution(function, [function.find(*inputs), *inputs], [None, *directions])


def _at_solution(
    function: ImplicitFunction, tensors: Sequence[Tensor], directions: Sequence[Tensor | None]
) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Return a known solution, the first of the tensors, and its derivatives along directions."""
    positions, *inputs = tensors
    right = _residual_changes(function, positions, inputs, directions[1:])
    return (positions.clone(),), (-function.solve(positions, right, *inputs),)


def _residual_changes(
    function: ImplicitFunction,
    positions: Tensor,
    inputs: Sequence[Tensor],
    directions: Sequence[Tensor | None],
) -> Tensor:
    """Return the derivatives of the residual along directions, from those of a vector-Jacobian product."""
    pairs = [(k, d) for k, d in enumerate(directions) if d is not None]
    with torch.enable_grad():
        inputs = [x.detach().requires_grad_(d is not None) for x, d in zip(inputs, directions, strict=True)]
        residual = function.residual(positions.detach(), *inputs)
        weight = torch.zeros_like(residual, requires_grad=True)
        pulled = torch.autograd.grad(
            residual, [inputs[k] for k, _ in pairs], weight, create_graph=True, allow_unused=True
        )
        read = [(g, d) for g, (_, d) in zip(pulled, pairs, strict=True) if g is not None and g.requires_grad]
        if not read:
            return torch.zeros_like(residual).expand(len(pairs[0][1]), *residual.shape)
        changes = [
            torch.autograd.grad([g for g, _ in read], weight, along, retain_graph=True)[0]
            for along in zip(*(d for _, d in read), strict=True)
        ]
    return torch.stack(changes)
