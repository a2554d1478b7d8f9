"""Sums of powers of principal stretches, with exact derivatives where stretches coincide."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from simlayer.linalg.eigenvectors import eigenvectors
from simlayer.linalg.matrix3 import Matrix3, dot
from simlayer.linalg.spectral_sum import AXES, DividedDifferences, spectral_sum, total


def stretch_power_sum(F: Matrix3, terms: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Return sum_t w_t (l1^alpha_t + l2^alpha_t + l3^alpha_t) for terms (w, alpha); l are the stretches of F.

    Its derivatives of three orders are exact, see `spectral_sum`.
    """
    G = F @ eigenvectors(F.T @ F)
    B = [[dot(G.column(i), G.column(j)) for j in AXES] for i in AXES]
    return spectral_sum(B, lambda values: _Powers(values, terms))


class _Powers(DividedDifferences):
    """Those of f(x) = sum_t w_t x^a_t, a = alpha/2."""

    def __init__(self, values: Sequence[Tensor], terms: Sequence[tuple[Tensor, Tensor]]) -> None:
        self.terms = [(weight, exponent / 2) for weight, exponent in terms]
        # f' is the sum of (w a) x^p.
        self.slopes = [(weight * a, a - 1) for weight, a in self.terms]
        super().__init__(values)

    def integrals(self) -> Tensor:
        return total([w * (a * log).exp() for w, a in self.terms for log in self.logs])

    def one(self, i: int) -> Tensor:
        return total([w * (p * self.logs[i]).exp() for w, p in self.slopes])

    def limit(self, log: Tensor) -> Tensor:
        return total([w * p * (p - 1) / 2 * ((p - 2) * log).exp() for w, p in self.slopes])

    def first(self, i: int, j: int) -> Tensor:
        # x^p - y^p = 2 (x y)^(p/2) sinh(p h) with h = ln(x/y)/2.
        if i == j:
            return total([w * p * ((p - 1) * self.logs[i]).exp() for w, p in self.slopes])
        middle, h = (self.logs[i] + self.logs[j]) / 2, (self.logs[i] - self.logs[j]) / 2
        # An even function of h, so that the smallest h allowed stands for zero with an error of its square.
        h = h.abs().clamp(min=1e-8)
        over = torch.sinh(h)
        return total([w * ((p - 1) * middle).exp() * (torch.sinh(p * h) / over) for w, p in self.slopes])
