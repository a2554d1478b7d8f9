"""Sums over the eigenvalues of symmetric matrices, with exact derivatives where these coincide."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# An eigenvalue below which a function continues as its cubic expansion, so that a flat cell is finite.
_LEAST = 1e-6
# Eigenvalues that are nearer than this, relative to their size, are taken as one in third derivatives.
_NEAR = 1e-4
AXES = range(3)


def spectral_sum(
    B: Sequence[Sequence[Tensor]], differences: Callable[[Sequence[Tensor]], DividedDifferences]
) -> Tensor:
    """Return f(L1) + f(L2) + f(L3) for the eigenvalues L of a symmetric matrix.

    Eigenvalues have no derivatives where they coincide, but their symmetric functions do. So the matrix is
    given in a frozen frame of its eigenvectors, in which it is diagonal, and the sum expanded in what differs
    from its diagonal L, E:

        tr f(L + E) = sum_i f(L_i) + f'(L_i) E_ii + 1/2 sum_ij f'[i,j] E_ij² + 1/3 sum_ijk f'[i,j,k] E_ij E_jk E_ki

    where f'[i,j] and f'[i,j,k] are divided differences of f' at the eigenvalues, which are smooth (Daleckii,
    Krein 1965). E is zero, so that this is the value; its derivatives of three orders are exact.

    Args:
        B: the matrix in the frame of its eigenvectors, which has no derivatives.
        differences: makes those of f' at three eigenvalues.
    """  # noqa: E501 - a formula
    values = [B[i][i].detach().clamp(min=_LEAST) for i in AXES]
    E = [[B[i][j] - values[i] if i == j else B[i][j] for j in AXES] for i in AXES]
    slopes = differences(values)
    result = slopes.integrals()
    for i in AXES:
        result = result + E[i][i] * (slopes.one(i) + E[i][i] * (slopes.two(i, i) / 2))
        result = result + E[i][i] ** 3 * (slopes.three(i, i, i) / 3)
        for j in AXES:
            if i < j:
                result = result + E[i][j] ** 2 * slopes.two(i, j)
            if i != j:
                result = result + E[i][i] * E[i][j] ** 2 * slopes.three(i, i, j)
    return result + 2 * E[0][1] * E[1][2] * E[0][2] * slopes.three(0, 1, 2)


def total(parts: Sequence[Tensor]) -> Tensor:
    """Return the sum of tensors, at least one, without a zero to start from."""
    return sum(parts[1:], parts[0])


class DividedDifferences(ABC):
    """Divided differences of the derivative of a function f at three positive values.

    They are computed from logarithms of the values, without cancellation where these coincide.
    """

    def __init__(self, values: Sequence[Tensor]) -> None:
        self.values, self.logs = values, [value.log() for value in values]
        self._firsts = {(i, j): self.first(i, j) for i in AXES for j in AXES if i <= j}

    @abstractmethod
    def integrals(self) -> Tensor:
        """Return the sum of f at the three values."""

    @abstractmethod
    def one(self, i: int) -> Tensor:
        """Return f' at a value."""

    @abstractmethod
    def first(self, i: int, j: int) -> Tensor:
        """Return (f'(x) - f'(y)) / (x - y), or the second derivative of f where the values are equal."""

    @abstractmethod
    def limit(self, log: Tensor) -> Tensor:
        """Return half of the third derivative of f at a value, given its logarithm."""

    def two(self, i: int, j: int) -> Tensor:
        """Return the first divided difference of two values in any order."""
        return self._firsts[min(i, j), max(i, j)]

    def three(self, i: int, j: int, k: int) -> Tensor:
        """Return the second divided difference; at the mean where the three values are nearly equal."""
        mean = (self.values[i] + self.values[j] + self.values[k]) / 3
        limit = self.limit(mean.log())
        if i == j == k:
            return limit
        # Three differences of first ones, each over its gap, weighted by the squares of the gaps.
        weights, rise = torch.zeros_like(mean), torch.zeros_like(mean)
        for x, y, z in ((i, j, k), (j, k, i), (k, i, j)):
            if x != z:
                gap = self.values[x] - self.values[z]
                weights = weights + gap * gap
                rise = rise + gap * (self.two(x, y) - self.two(y, z))
        near = weights < (_NEAR * mean) ** 2
        return torch.where(near, limit, rise / torch.where(near, 1.0, weights))
