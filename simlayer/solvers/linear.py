"""Linear solvers: ways to approximate the inverse of a sparse matrix, each refined by conjugate gradients."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse.linalg import splu
from torch import Tensor

from simlayer.errors import ConvergenceError
from simlayer.quantities.arguments import checked_integer
from simlayer.solvers.block_matrix import BlockMatrix
from simlayer.solvers.conjugate_gradients import Product

_log = logging.getLogger(__name__)

# Unknowns up to which factors are chosen: in a step inertia makes the matrix better conditioned.
_DIRECT_STEPS, _DIRECT_STATICS = 6_000, 40_000


class LinearSolver(ABC):
    """How linear systems are solved: by conjugate gradients, with an inverse that this class approximates.

    A new solver, of a library for factorizations or of multigrid, is a class with `inverse(matrix)`.

    Attributes:
        max_iterations: of conjugate gradients; more is a failure.
        patience: how many with the inverse of an earlier matrix, before that of the present one is made.
    """

    max_iterations: int
    patience: int

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "max_iterations", checked_integer("max_iterations", self.max_iterations, least=1)
        )
        object.__setattr__(self, "patience", checked_integer("patience", self.patience, least=0))

    @abstractmethod
    def inverse(self, matrix: BlockMatrix) -> Product:
        """Return products `(B, N, 3) -> (B, N, 3)` with something close to the inverse of the matrix."""


@dataclass(frozen=True)
class ConjugateGradients(LinearSolver):
    """Conjugate gradients preconditioned by the inverse of each vertex's own block.

    Cheap on any device and lean; many iterations where the body is nearly incompressible, slender, or static.
    """

    max_iterations: int = 10_000
    patience: int = 0

    def inverse(self, matrix: BlockMatrix) -> Product:
        blocks = torch.linalg.inv(matrix.diagonal_blocks())
        return lambda vectors: (blocks @ vectors[..., None])[..., 0]


@dataclass(frozen=True)
class SparseDirect(LinearSolver):
    """Sparse LU factors (SuperLU, through SciPy), on the CPU, in double precision.

    Exact whatever the conditioning, as long as there is memory for them: best to some 20,000 unknowns.
    """

    max_iterations: int = 50
    patience: int = 20

    def inverse(self, matrix: BlockMatrix) -> Product:
        factors = [_factorized(matrix, sample) for sample in range(len(matrix.values))]

        def apply(vectors: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N 3"]:
            right = vectors.detach().double().cpu().reshape(len(vectors), -1).numpy()
            solved = np.stack([solve(b) for solve, b in zip(factors, right, strict=True)])
            return torch.from_numpy(solved).to(vectors).view_as(vectors)

        return apply


def _factorized(matrix: BlockMatrix, sample: int) -> Callable[[np.ndarray], np.ndarray]:
    # For a symmetric matrix: an ordering of A + Aᵀ, and pivots from the diagonal.
    options = {"SymmetricMode": True}
    try:
        lu = splu(matrix.to_scipy(sample), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
    except RuntimeError as error:
        raise ConvergenceError(f"the tangent of sample {sample} has no inverse: {error}.") from error
    return lu.solve


def solver_for(unknowns: int, *, dynamic: bool) -> LinearSolver:
    """Return the solver that is fastest for so many unknowns of a sample, and log it."""
    direct = unknowns <= (_DIRECT_STEPS if dynamic else _DIRECT_STATICS)
    solver = SparseDirect() if direct else ConjugateGradients()
    _log.info("%s for %d unknowns", type(solver).__name__, unknowns)
    return solver
