"""Multifrontal Cholesky factors of sparse matrices (Duff, Reid 1983), with LAPACK on dense fronts."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from scipy.linalg import blas, lapack

from simlayer.solvers.fronts import Front, FrontTree


class NotPositiveDefiniteError(Exception):
    """A matrix has no Cholesky factor."""


class CholeskyFactor:
    """The factor L of one sparse matrix A = L Lᵀ, in double precision.

    Args:
        tree: the fronts of its pattern.
        values: the blocks of the matrix.

    Attributes:
        storage: all its numbers.

    Raises:
        NotPositiveDefiniteError: if the matrix is not positive definite, as far as rounding can tell.
    """

    def __init__(self, tree: FrontTree, values: Float[np.ndarray, "K 3 3"]) -> None:
        self.tree = tree
        storage = np.zeros(tree.entries)
        storage[tree.targets] = values.reshape(-1)[tree.sources]
        self._take(tree, storage)
        self._eliminate(np.empty(tree.workspace))

    @classmethod
    def restored(cls, tree: FrontTree, storage: Float[np.ndarray, "entries"]) -> CholeskyFactor:
        """Return a factor that was made before, given the fronts of its pattern and its numbers."""
        factor = cls.__new__(cls)
        factor._take(tree, storage)
        return factor

    def _take(self, tree: FrontTree, storage: Float[np.ndarray, "entries"]) -> None:
        self.tree, self.storage = tree, storage
        self._panels = [
            _Panel(front, storage[front.first : front.first + front.height * front.width])
            for front in tree.fronts
        ]

    def _eliminate(self, workspace: Float[np.ndarray, "_"]) -> None:
        updates: list[np.ndarray] = []
        for front, panel in zip(self.tree.fronts, self._panels, strict=True):
            size = len(front.boundary)
            update = workspace[front.scratch : front.scratch + size * size].reshape(size, size)
            update.fill(0.0)
            updates.append(update)
            for child in front.children:
                for in_panel, into, out in self.tree.fronts[child].transfers:
                    target = (panel.all if in_panel else update)[into]
                    np.add(target, updates[child][out], out=target)
            # Rows of NumPy are columns of LAPACK, so that lower triangles are called upper.
            failed = lapack.dpotrf(panel.diagonal, lower=0, clean=0, overwrite_a=1)[1]
            # LAPACK lets NaN pass; it reaches the last pivot.
            if failed or not math.isfinite(panel.diagonal[-1, -1]):
                raise NotPositiveDefiniteError
            if size:
                below = panel.below.T
                blas.dtrsm(1.0, panel.diagonal, below, lower=0, trans_a=1, overwrite_b=1)
                blas.dsyrk(-1.0, below, beta=1.0, c=update.T, trans=1, lower=0, overwrite_c=1)

    def solve(self, right: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, "n columns"]:
        """Return A⁻¹ of some right-hand sides, which stay as they are where components are fixed."""
        x = right[self.tree.components]
        for front, panel in self._pairs():
            own = x[front.start : front.stop]
            _substitute(panel.diagonal, own, transposed=False)
            if len(front.boundary):
                x[front.boundary] -= panel.below @ own
        for front, panel in reversed(list(self._pairs())):
            own = x[front.start : front.stop]
            if len(front.boundary):
                own -= panel.below.T @ x[front.boundary]
            _substitute(panel.diagonal, own, transposed=True)
        result = right.copy()
        result[self.tree.components] = x
        return result

    def _pairs(self) -> Iterator[tuple[Front, _Panel]]:
        return zip(self.tree.fronts, self._panels, strict=True)


class _Panel:
    """The columns of a factor that one front eliminates, as views of the same memory.

    Attributes:
        all: the rows of the front.
        diagonal: the transpose of its first, square part.
        below: the rows of its boundary.
    """

    def __init__(self, front: Front, storage: Float[np.ndarray, "_"]) -> None:
        self.all = storage.reshape(front.height, front.width)
        self.diagonal, self.below = self.all[: front.width].T, self.all[front.width :]


def _substitute(
    triangle: Float[np.ndarray, "m m"], x: Float[np.ndarray, "m columns"], *, transposed: bool
) -> None:
    """Solve with the upper triangle Lᵀ, or with its transpose L, in place."""
    if x.shape[1] == 1:
        blas.dtrsv(triangle, x[:, 0], lower=0, trans=not transposed, overwrite_x=1)
    else:
        blas.dtrsm(1.0, triangle, x.T, side=1, lower=0, trans_a=transposed, overwrite_b=1)
