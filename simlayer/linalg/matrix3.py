"""Fields of 3x3 matrices, one tensor per component, and their algebra."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor


def dot(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> Tensor:
    """Return the inner product of two vectors, given by their components."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


class Matrix3(NamedTuple):
    """A 3x3 matrix at every point of a field: nine tensors of one shape, row by row.

    Nine separate tensors let a compiler fuse a whole material into one loop over cells, which stacked
    matrices prevent, and let its stress read like its formula: `mu * F + lam * (J - 1) * F.cofactor()`.
    """

    xx: Tensor
    xy: Tensor
    xz: Tensor
    yx: Tensor
    yy: Tensor
    yz: Tensor
    zx: Tensor
    zy: Tensor
    zz: Tensor

    @classmethod
    def from_columns(cls, a: tuple[Tensor, ...], b: tuple[Tensor, ...], c: tuple[Tensor, ...]) -> Matrix3:
        """Return the matrix with columns a, b and c."""
        return cls(*(column[i] for i in range(3) for column in (a, b, c)))

    def row(self, i: int) -> tuple[Tensor, ...]:
        """Return the components of row i."""
        return tuple(self)[3 * i : 3 * i + 3]

    def column(self, j: int) -> tuple[Tensor, ...]:
        """Return the components of column j."""
        return tuple(self)[j::3]

    def __add__(self, other: Matrix3) -> Matrix3:  # type: ignore[override]  # a sum, not a longer tuple
        return Matrix3(*(a + b for a, b in zip(self, other, strict=True)))

    def __sub__(self, other: Matrix3) -> Matrix3:
        return Matrix3(*(a - b for a, b in zip(self, other, strict=True)))

    def __mul__(self, scale: Tensor | float) -> Matrix3:  # type: ignore[override]
        return Matrix3(*(a * scale for a in self))

    def __rmul__(self, scale: Tensor | float) -> Matrix3:  # type: ignore[override]
        return self * scale

    def __matmul__(self, other: Matrix3) -> Matrix3:
        return Matrix3(*(dot(self.row(i), other.column(j)) for i in range(3) for j in range(3)))

    @property
    def T(self) -> Matrix3:
        """The transpose."""
        return Matrix3(*(self[3 * j + i] for i in range(3) for j in range(3)))

    def plus_identity(self, scale: Tensor | float = 1.0) -> Matrix3:
        """Return the sum with `scale` times the identity."""
        return self._replace(xx=self.xx + scale, yy=self.yy + scale, zz=self.zz + scale)

    def inner(self, other: Matrix3) -> Tensor:
        """Return the Frobenius inner product, tr(AᵀB)."""
        products: Iterator[Tensor] = (dot(self.row(i), other.row(i)) for i in range(3))
        return next(products) + next(products) + next(products)

    def trace(self) -> Tensor:
        """Return the sum of the diagonal."""
        return self.xx + self.yy + self.zz

    def det(self) -> Tensor:
        """Return the determinant as a·(b×c): exact derivatives of every order, singular matrices included."""
        return dot(self.column(0), _cross(self.column(1), self.column(2)))

    def cofactor(self) -> Matrix3:
        """Return the derivative of the determinant, det(A) A⁻ᵀ."""
        a, b, c = self.column(0), self.column(1), self.column(2)
        return Matrix3.from_columns(_cross(b, c), _cross(c, a), _cross(a, b))
