"""What stands for the Cholesky factor of a matrix that has none."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.sparse.linalg import SuperLU, splu

from simlayer.errors import ConvergenceError
from simlayer.solvers.block_matrix import BlockMatrix


class IndefiniteFactor:
    """Stands for the Cholesky factor of a matrix that has none: LU factors, made when they are asked for."""

    def __init__(self, matrix: BlockMatrix, sample: int) -> None:
        self.matrix, self.sample = matrix, sample

    @cached_property
    def _factors(self) -> SuperLU:
        # For a symmetric matrix: an ordering of A + Aᵀ, and pivots from the diagonal.
        options = {"SymmetricMode": True}
        matrix = self.matrix.to_scipy(self.sample)
        try:
            return splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
        except RuntimeError as error:
            raise ConvergenceError(f"the tangent of sample {self.sample} has no inverse: {error}.") from error

    def solve(self, right: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, "n columns"]:
        solution: np.ndarray = self._factors.solve(right)
        return solution
