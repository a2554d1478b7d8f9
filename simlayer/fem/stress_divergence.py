"""The forces of an energy of the deformation gradient, as one node of the autograd graph."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.autodiff.pointwise import PointwiseEnergy
from simlayer.autodiff.torch_private import below_autograd, transforms_active
from simlayer.fem.finite_elements import FiniteElements
from simlayer.fem.gradient import GradientOperator
from simlayer.linalg.matrix3 import Matrix3


def stress_forces(
    energy: PointwiseEnergy,
    elements: FiniteElements,
    coefficients: Sequence[Tensor],
    positions: Float[Tensor, "*batch N 3"],
) -> Float[Tensor, "*batch N 3"]:
    """Return the nodal forces [N] of an energy density [Pa] of the deformation gradient.

    One node of the autograd graph where three would do, because a node costs as much time as a dozen
    operators on a small mesh, more where it has nine inputs and outputs.
    """
    plain, weighted, local = elements.stress_operators()
    if local:
        # Weights of networks come first; they have no axis of cells.
        fields = map(local.over_cells, coefficients[energy.shared :])
        coefficients = [*coefficients[: energy.shared], *fields]
    # A node that keeps what is neither input nor output is unknown to the transforms of torch.func.
    is_node = torch.is_grad_enabled() and not energy.shared and not plain.shape.varies
    if is_node and not transforms_active():
        return _Forces.apply(energy, plain, weighted, positions, *coefficients)
    F = plain.gradient(positions)
    return weighted.divergence(Matrix3(*energy.gradient(coefficients, F)))


class _Forces(torch.autograd.Function):
    """The three maps; what the energy keeps for its derivative is all that is kept inside the cells."""

    @staticmethod
    def forward(
        ctx: Any,
        energy: PointwiseEnergy,
        plain: GradientOperator,
        weighted: GradientOperator,
        positions: Tensor,
        *coefficients: Tensor,
    ) -> Tensor:
        with below_autograd():
            F = plain.gradient(positions)
            stress, kept = energy.gradient_and_kept(coefficients, F)
            forces = weighted.divergence(Matrix3(*stress))
        ctx.maps = energy, plain, weighted
        ctx.save_for_backward(positions, *coefficients, *F, *kept)
        ctx.save_for_forward(positions, *coefficients)
        return forces

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        energy, plain, weighted = ctx.maps
        saved, count = ctx.saved_tensors, 1 + len(energy.used)
        (positions, *coefficients), F, kept = saved[:count], saved[count : count + 9], saved[count + 9 :]
        again = torch.is_grad_enabled()
        with nullcontext() if again else below_autograd():
            if again:
                # What was kept has no history; differentiated once more, it is computed again with one.
                F, kept = plain.gradient(positions), ()
            slopes = energy.vjp([*coefficients, *F], weighted.gradient(cotangent), kept)
            return None, None, None, plain.divergence(Matrix3(*slopes[-9:])), *slopes[:-9]

    @staticmethod
    def jvp(ctx: Any, *directions: Tensor | None) -> Tensor:
        energy, plain, weighted = ctx.maps
        positions, *coefficients = kept = ctx.saved_tensors
        pairs = zip(kept, directions[3:], strict=True)
        along = [torch.zeros_like(x) if dx is None else dx for x, dx in pairs]
        F, dF = plain.gradient(positions), plain.gradient(along[0])
        stress = energy.jvp([*coefficients, *F], [*along[1:], *dF])
        return weighted.divergence(Matrix3(*stress))
