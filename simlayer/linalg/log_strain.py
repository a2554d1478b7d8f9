"""The squared norm of the logarithmic strain, with exact derivatives where stretches coincide."""

from __future__ import annotations

from torch import Tensor

from simlayer.linalg.eigenvectors import eigenvectors
from simlayer.linalg.matrix3 import Matrix3
from simlayer.linalg.spectral_sum import AXES, DividedDifferences, spectral_sum, total

# Below this h coth h is its series.
_SMALL = 1e-2


def squared_log_strain(b: Matrix3) -> Tensor:
    """Return |ln(b)/2|² of a symmetric positive definite matrix, a sum over its eigenvalues.

    Its derivatives of three orders are exact, see `spectral_sum`.
    """
    V = eigenvectors(b)
    B = V.T @ b @ V
    return spectral_sum([B.row(i) for i in AXES], _SquaredLogarithms)


class _SquaredLogarithms(DividedDifferences):
    """Those of f(x) = (ln x / 2)²."""

    def integrals(self) -> Tensor:
        return total([log**2 / 4 for log in self.logs])

    def one(self, i: int) -> Tensor:
        return self.logs[i] / (2 * self.values[i])

    def limit(self, log: Tensor) -> Tensor:
        return (2 * log - 3) / 4 * (-3 * log).exp()

    def first(self, i: int, j: int) -> Tensor:
        # ln x / x - ln y / y = 2 (h cosh h - m sinh h) exp(-m) with m, h the half sum and difference of logs.
        middle, h = (self.logs[i] + self.logs[j]) / 2, (self.logs[i] - self.logs[j]) / 2
        return (_h_coth(h) - middle) / 2 * (-2 * middle).exp()


def _h_coth(h: Tensor) -> Tensor:
    """Return h coth h."""
    small = h.abs() < _SMALL
    series = 1 + h**2 / 3 * (1 - h**2 / 15 * (1 - 2 * h**2 / 21))
    apart = h.where(~small, 1.0)
    return series.where(small, apart / apart.tanh())
