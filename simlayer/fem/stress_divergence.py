"""The forces of an energy of a gradient: map to the cells, law, and the map's adjoint as one node."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.autodiff.pointwise import PointwiseEnergy
from simlayer.fem.gradient import Stencil
from simlayer.linalg.matrix3 import Matrix3


def stress_forces(
    law: PointwiseEnergy,
    shape: Stencil,
    adjoint: Stencil,
    coefficients: Sequence[Tensor],
    positions: Float[Tensor, "*batch N 3"],
) -> Float[Tensor, "*batch N 3"]:
    """`adjoint`'s divergence of the derivative of the law at `shape`'s gradient of the positions.

    One node of the autograd graph where three would do, because a node costs as much time as a dozen
    operators on a small mesh, more where it has nine inputs and outputs.
    """
    recorded = torch.is_grad_enabled() and not law.shared
    # A node that keeps what is neither input nor output is unknown to the transforms of torch.func.
    if recorded and not torch._C._are_functorch_transforms_active():
        return _Forces.apply(law, shape, adjoint, positions, *coefficients)
    F = shape.gradient(positions)
    return adjoint.divergence(Matrix3(*law.gradient(coefficients, F)))


class _Forces(torch.autograd.Function):
    """The three maps; what the law keeps for its derivative is all that is kept inside the cells."""

    @staticmethod
    def forward(
        ctx: Any,
        law: PointwiseEnergy,
        shape: Stencil,
        adjoint: Stencil,
        positions: Tensor,
        *coefficients: Tensor,
    ) -> Tensor:
        with _unrecorded():
            F = shape.gradient(positions)
            stress, kept = law.gradient_and_kept(coefficients, F)
            forces = adjoint.divergence(Matrix3(*stress))
        ctx.maps = law, shape, adjoint
        ctx.save_for_backward(positions, *coefficients, *F, *kept)
        ctx.save_for_forward(positions, *coefficients)
        return forces

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        law, shape, adjoint = ctx.maps
        saved, count = ctx.saved_tensors, 1 + len(law.used)
        (positions, *coefficients), F, kept = saved[:count], saved[count : count + 9], saved[count + 9 :]
        again = torch.is_grad_enabled()
        with nullcontext() if again else _unrecorded():
            if again:
                # What was kept has no history; differentiated once more, it is computed again with one.
                F, kept = shape.gradient(positions), ()
            slopes = law.pullback([*coefficients, *F], adjoint.gradient(cotangent), kept)
            return None, None, None, shape.divergence(Matrix3(*slopes[-9:])), *slopes[:-9]

    @staticmethod
    def jvp(ctx: Any, *directions: Tensor | None) -> Tensor:
        law, shape, adjoint = ctx.maps
        positions, *coefficients = kept = ctx.saved_tensors
        pairs = zip(kept, directions[3:], strict=True)
        given = [torch.zeros_like(x) if dx is None else dx for x, dx in pairs]
        F, dF = shape.gradient(positions), shape.gradient(given[0])
        stress = law.tangent([*coefficients, *F], [*given[1:], *dF])
        return adjoint.divergence(Matrix3(*stress))


def _unrecorded() -> AbstractContextManager[None]:
    """Without the part of torch that records operators: on small meshes it takes a tenth of their time."""
    return torch._C._AutoDispatchBelowAutograd()
