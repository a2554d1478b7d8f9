"""Normal equations of windows that follow each other, and the elimination of what belongs to single ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.identification.normal_equations import NormalEquations


@dataclass(frozen=True)
class WindowEquations:
    """A mean of squares expanded about P shared values and D numbers of each of W windows.

    As `NormalEquations`, L + g d + d H d / 2, where H has a row and column of blocks for the shared values
    and is block-tridiagonal in the windows: each is coupled to its neighbours.

    Attributes:
        loss: L.
        gradient: g by the shared values.
        curvature: H of these.
        gradients: g by the numbers of each window.
        diagonal: H of each window.
        beside: H of each window, as rows, with the next.
        shared: H of the shared values, as rows, with each window.
        number: how many points were observed.
    """

    loss: Float[Tensor, ""]
    gradient: Float[Tensor, "P"]
    curvature: Float[Tensor, "P P"]
    gradients: Float[Tensor, "W D"]
    diagonal: Float[Tensor, "W D D"]
    beside: Float[Tensor, "V D D"]
    shared: Float[Tensor, "W P D"]
    number: Float[Tensor, ""]

    def eliminated(self) -> Eliminated:
        """Return the equations of the shared values alone, with the windows at their best for each."""
        right = torch.cat([self.gradients[..., None], self.shared.mT], -1)
        found = solve_block_tridiagonal(self.diagonal, self.beside, right)
        offset, slope = found[..., 0], found[..., 1:]
        decrement = (self.gradients * offset).sum() / 2
        reduced = NormalEquations(
            self.loss - decrement,
            self.gradient - torch.einsum("wpd,wd->p", self.shared, offset),
            self.curvature - torch.einsum("wpd,wdq->pq", self.shared, slope),
            self.number,
        )
        return Eliminated(reduced, decrement, offset, slope)


@dataclass(frozen=True)
class Eliminated:
    """Normal equations of shared values, and the steps of the windows that follow from a step of these.

    Attributes:
        equations: those of the shared values (the Schur complement).
        decrement: by how much the windows alone would reduce the loss.
        offset, slope: minus the step of the windows for none of the shared values, and by each of them.
    """

    equations: NormalEquations
    decrement: Float[Tensor, ""]
    offset: Float[Tensor, "W D"]
    slope: Float[Tensor, "W D P"]

    def windows(self, step: Float[Tensor, "P"]) -> Float[Tensor, "W D"]:
        """Return the step of the windows that belongs to one of the shared values."""
        return -(self.offset + self.slope @ step)


def solve_block_tridiagonal(
    diagonal: Float[Tensor, "W D D"], beside: Float[Tensor, "V D D"], right: Float[Tensor, "W D k"]
) -> Float[Tensor, "W D k"]:
    """Return the solution for a symmetric, positive definite matrix of blocks, by elimination of one by one.

    Time and memory grow with the number of blocks W, not with its square (block Cholesky; Golub and Van Loan
    2013, section 4.5).

    Args:
        diagonal: the blocks on the diagonal.
        beside: those to the right of each but the last, V = W - 1.
        right: right-hand sides.
    """
    factors, halves, own, known = [], [], diagonal[0], right[0]
    for index in range(len(diagonal)):
        factor = torch.linalg.cholesky(own)
        half = torch.linalg.solve_triangular(factor, known, upper=False)
        factors.append(factor)
        halves.append(half)
        if index < len(beside):
            coupling = torch.linalg.solve_triangular(factor, beside[index], upper=False)
            own = diagonal[index + 1] - coupling.mT @ coupling
            known = right[index + 1] - coupling.mT @ half
    found = [torch.linalg.solve_triangular(factors[-1].mT, halves[-1], upper=True)]
    for index in range(len(diagonal) - 2, -1, -1):
        coupling = torch.linalg.solve_triangular(factors[index], beside[index], upper=False)
        rest = halves[index] - coupling @ found[-1]
        found.append(torch.linalg.solve_triangular(factors[index].mT, rest, upper=True))
    return torch.stack(found[::-1])
