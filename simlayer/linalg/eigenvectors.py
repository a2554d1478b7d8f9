"""Eigenvectors of symmetric 3x3 matrices by elementwise operations."""

from __future__ import annotations

import torch
from torch import Tensor

from simlayer.linalg.matrix3 import Matrix3

# Off-diagonal entries fall below rounding in the fourth round at the latest.
_ROUNDS = 4
# Far below the square root of the smallest number of single precision, whose square is rounded to zero.
_TINY = 1e-30


def eigenvectors(S: Matrix3) -> Matrix3:
    """Return a rotation whose columns are eigenvectors of a symmetric matrix, in no particular order.

    Orthonormal to rounding where eigenvalues coincide, too (Jacobi's method, cyclic). It carries no gradient,
    which would be infinite there.
    """
    entries = {(i, j): S[3 * min(i, j) + max(i, j)].detach() for i in range(3) for j in range(3)}
    one, zero = torch.ones_like(entries[0, 0]), torch.zeros_like(entries[0, 0])
    columns: list[tuple[Tensor, ...]] = [(one, zero, zero), (zero, one, zero), (zero, zero, one)]
    for _ in range(_ROUNDS):
        for p, q in ((0, 1), (0, 2), (1, 2)):
            _rotate(entries, columns, p, q)
    return Matrix3.from_columns(*columns)


def _rotate(
    entries: dict[tuple[int, int], Tensor], columns: list[tuple[Tensor, ...]], p: int, q: int
) -> None:
    """Turn the axes p and q until the entry (p, q) is zero, in place (Golub, Van Loan 2013, 8.5.2)."""
    r, off, difference = 3 - p - q, entries[p, q], entries[q, q] - entries[p, p]
    length = (difference * difference + 4 * off * off).sqrt() + _TINY
    t = 2 * off / (difference + torch.copysign(length, difference))
    c = (1 + t * t).rsqrt()
    s = t * c
    entries[p, p] = entries[p, p] - t * off
    entries[q, q] = entries[q, q] + t * off
    entries[p, q] = entries[q, p] = torch.zeros_like(off)
    first, second = entries[r, p], entries[r, q]
    entries[r, p] = entries[p, r] = c * first - s * second
    entries[r, q] = entries[q, r] = s * first + c * second
    a, b = columns[p], columns[q]
    columns[p] = tuple(c * x - s * y for x, y in zip(a, b, strict=True))
    columns[q] = tuple(s * x + c * y for x, y in zip(a, b, strict=True))
