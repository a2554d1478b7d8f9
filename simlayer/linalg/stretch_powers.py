"""Sums of powers of principal stretches, with exact derivatives where stretches coincide."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from simlayer.linalg.eigenvectors import eigenvectors
from simlayer.linalg.matrix3 import Matrix3, dot

# A squared stretch below which a power continues as its cubic expansion, so that a flat cell is finite.
_LEAST = 1e-6
# Eigenvalues that are nearer than this, relative to their size, are taken as one in third derivatives.
_NEAR = 1e-4
_AXES = range(3)


def stretch_power_sum(F: Matrix3, terms: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Return sum_t w_t (l1^alpha_t + l2^alpha_t + l3^alpha_t) for terms (w, alpha); l are the stretches of F.

    Eigenvalues of C = FᵀF have no derivatives where they coincide, but their symmetric functions do. So the
    frame V of eigenvectors is frozen, and tr f(C) with f(x) = w x^(alpha/2) expanded in VᵀCV, which is
    diagonal: with E what differs from its diagonal L,

        tr f(L + E) = sum_i f(L_i) + f'(L_i) E_ii + 1/2 sum_ij f'[i,j] E_ij² + 1/3 sum_ijk f'[i,j,k] E_ij E_jk E_ki

    where f'[i,j] and f'[i,j,k] are divided differences of f' at the eigenvalues, which are smooth (Daleckii,
    Krein 1965). E is zero, so that this is the value; its derivatives of three orders are exact.
    """  # noqa: E501 - a formula
    G = F @ eigenvectors(F.T @ F)
    B = [[dot(G.column(i), G.column(j)) for j in _AXES] for i in _AXES]
    values = [B[i][i].detach().clamp(min=_LEAST) for i in _AXES]
    E = [[B[i][j] - values[i] if i == j else B[i][j] for j in _AXES] for i in _AXES]
    slopes = _DividedDifferences(values, terms)
    result = slopes.integrals()
    for i in _AXES:
        result = result + E[i][i] * (slopes.one(i) + E[i][i] * (slopes.two(i, i) / 2))
        result = result + E[i][i] ** 3 * (slopes.three(i, i, i) / 3)
        for j in _AXES:
            if i < j:
                result = result + E[i][j] ** 2 * slopes.two(i, j)
            if i != j:
                result = result + E[i][i] * E[i][j] ** 2 * slopes.three(i, i, j)
    return result + 2 * E[0][1] * E[1][2] * E[0][2] * slopes.three(0, 1, 2)


def total(parts: Sequence[Tensor]) -> Tensor:
    """Return the sum of tensors, at least one, without a zero to start from."""
    return sum(parts[1:], parts[0])


class _DividedDifferences:
    """Divided differences of the derivative of f(x) = sum_t w_t x^a_t, a = alpha/2, at three positive values.

    They are computed from logarithms of the values, without cancellation where these coincide.
    """

    def __init__(self, values: Sequence[Tensor], terms: Sequence[tuple[Tensor, Tensor]]) -> None:
        self.values, self.logs = values, [value.log() for value in values]
        self.terms = [(weight, exponent / 2) for weight, exponent in terms]
        # f' is the sum of (w a) x^p.
        self.slopes = [(weight * a, a - 1) for weight, a in self.terms]
        self._firsts = {(i, j): self._first(i, j) for i in _AXES for j in _AXES if i <= j}

    def integrals(self) -> Tensor:
        """Return the sum of f at the three values."""
        return total([w * (a * log).exp() for w, a in self.terms for log in self.logs])

    def one(self, i: int) -> Tensor:
        """Return f' at a value."""
        return total([w * (p * self.logs[i]).exp() for w, p in self.slopes])

    def two(self, i: int, j: int) -> Tensor:
        """Return (f'(x) - f'(y)) / (x - y), or f''(x) where the values are equal."""
        return self._firsts[min(i, j), max(i, j)]

    def three(self, i: int, j: int, k: int) -> Tensor:
        """Return the second divided difference; at the mean where the three values are nearly equal."""
        mean = (self.values[i] + self.values[j] + self.values[k]) / 3
        log = mean.log()
        limit = total([w * p * (p - 1) / 2 * ((p - 2) * log).exp() for w, p in self.slopes])
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

    def _first(self, i: int, j: int) -> Tensor:
        # x^p - y^p = 2 (x y)^(p/2) sinh(p h) with h = ln(x/y)/2.
        if i == j:
            return total([w * p * ((p - 1) * self.logs[i]).exp() for w, p in self.slopes])
        middle, h = (self.logs[i] + self.logs[j]) / 2, (self.logs[i] - self.logs[j]) / 2
        # An even function of h, so that the smallest h allowed stands for zero with an error of its square.
        h = h.abs().clamp(min=1e-8)
        over = torch.sinh(h)
        return total([w * ((p - 1) * middle).exp() * (torch.sinh(p * h) / over) for w, p in self.slopes])
