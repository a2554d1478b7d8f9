"""Linear solvers: ways to approximate the inverse of a sparse matrix, each refined by conjugate gradients."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simlayer.quantities.arguments import checked_integer
from simlayer.solvers.block_matrix import BlockMatrix
from simlayer.solvers.conjugate_gradients import Product
from simlayer.solvers.fronts import FrontTree
from simlayer.solvers.indefinite_factor import IndefiniteFactor
from simlayer.solvers.multifrontal import CholeskyFactor, NotPositiveDefiniteError
from simlayer.solvers.sparsity import SparsityPattern

_log = logging.getLogger(__name__)

# With more unknowns a pattern is not even analysed; factors of more bytes are too large.
_ANALYSED, _LARGEST_FACTOR = 200_000, 2**31
# Speed of an elimination [1/s] and of products with the matrix [byte/s], of one core.
_OPERATIONS, _BYTES = 1.5e10, 5e9
# Products that block Jacobi takes while one factor serves. In a step inertia makes the matrix better
# conditioned: some 200 per direction, for several directions, in a regular mesh; thousands among slivers.
_PRODUCTS_STEPS, _PRODUCTS_STATICS = 700, 2_000
# A factor that takes no longer than this is always chosen [s].
_ALWAYS = 0.05
# Where a factor takes longer than so many solutions with one, that of an earlier matrix gets a trial first.
_PATIENCE = 20


@dataclass(frozen=True)
class Inverse:
    """Something close to the inverses of the matrices of some samples.

    Attributes:
        product: the products `(B, *columns, N, 3) -> (B, *columns, N, 3)` with it.
        positive: false for samples whose matrix was found not to be positive definite, even by rounding only.
        exact: whether they are the inverses, up to rounding.
        kept: all of the factors of each sample, from which `LinearSolver.restored` makes this again; empty
            where that is not possible.
        products: how many products with it take as long as making it, by an estimate.
    """

    product: Product
    positive: Bool[Tensor, "B"]
    exact: bool = False
    kept: tuple[Tensor, ...] = ()
    products: float = 0.0

    def __call__(self, vectors: Float[Tensor, "B *columns N 3"]) -> Float[Tensor, "B *columns N 3"]:
        return self.product(vectors)


class LinearSolver(ABC):
    """How linear systems are solved: by conjugate gradients, with an inverse that this class approximates.

    A new solver, of a library for factorizations or of multigrid, is a class with `inverse(matrix)`. What
    follows from the pattern alone belongs in `matrix.pattern.analysis(...)`, which keeps it.

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
    def inverse(self, matrix: BlockMatrix) -> Inverse:
        """Return something close to the inverse of the matrix of each sample."""

    def restored(self, pattern: SparsityPattern, kept: Sequence[Tensor]) -> Inverse:
        """Return an inverse of this solver again, given what it kept, and the pattern of its matrix."""
        raise NotImplementedError(f"the inverses of {type(self).__name__} keep nothing.")


@dataclass(frozen=True)
class ConjugateGradients(LinearSolver):
    """Conjugate gradients preconditioned by the inverse of each vertex's own block.

    Cheap on any device and lean; many iterations where the body is nearly incompressible, slender, or static.
    """

    max_iterations: int = 10_000
    patience: int = 0

    def inverse(self, matrix: BlockMatrix) -> Inverse:
        blocks = torch.linalg.inv(matrix.diagonal_blocks())

        def product(vectors: Float[Tensor, "B *columns N 3"]) -> Float[Tensor, "B *columns N 3"]:
            own = blocks.view(len(blocks), *[1] * (vectors.ndim - 3), *blocks.shape[1:])
            return (own @ vectors[..., None])[..., 0]

        # Positive blocks on the diagonal would not prove a matrix positive definite.
        return Inverse(product, torch.ones(len(blocks), dtype=torch.bool, device=blocks.device))


@dataclass(frozen=True)
class SparseDirect(LinearSolver):
    """Sparse Cholesky factors (multifrontal, after nested dissection), on the CPU, in double precision.

    The pattern is analysed once in the life of a step, for all its matrices. Exact whatever the conditioning,
    as long as there is memory for the factors: best to some 50,000 unknowns, and several times as many where
    the body is slender. With so many unknowns in a compact body, where a factor takes longer than twenty
    solutions, a patience of 20 saves time.
    """

    max_iterations: int = 50
    patience: int = 0

    def inverse(self, matrix: BlockMatrix) -> Inverse:
        tree = matrix.pattern.analysis(FrontTree, FrontTree)
        factors = [_factorized(tree, matrix, sample) for sample in range(len(matrix.values))]
        positive = [isinstance(factor, CholeskyFactor) for factor in factors]
        kept: tuple[Tensor, ...] = ()
        if all(positive):
            kept = tuple(torch.from_numpy(f.storage) for f in factors if isinstance(f, CholeskyFactor))
        return Inverse(
            _solution(factors),
            torch.tensor(positive, device=matrix.values.device),
            exact=True,
            kept=kept,
            products=_factor_seconds(tree) / max(_solution_seconds(tree), 1e-9),
        )

    def restored(self, pattern: SparsityPattern, kept: Sequence[Tensor]) -> Inverse:
        tree = pattern.analysis(FrontTree, FrontTree)
        factors = [CholeskyFactor.restored(tree, storage.cpu().numpy()) for storage in kept]
        return Inverse(
            _solution(factors), torch.ones(len(kept), dtype=torch.bool), exact=True, kept=tuple(kept)
        )


def _solution(factors: Sequence[CholeskyFactor | IndefiniteFactor]) -> Product:
    """Return the products with the inverses whose factors these are."""

    def product(vectors: Float[Tensor, "B *columns N 3"]) -> Float[Tensor, "B *columns N 3"]:
        right = vectors.detach().double().cpu().flatten(-2)
        columns = right.reshape(len(right), -1, right.shape[-1]).mT.contiguous().numpy()
        solved = np.stack([f.solve(b) for f, b in zip(factors, columns, strict=True)])
        return torch.from_numpy(solved).mT.reshape(vectors.shape).to(vectors)

    return product


def _factor_seconds(tree: FrontTree) -> float:
    return tree.operations / _OPERATIONS


def _solution_seconds(tree: FrontTree) -> float:
    # Forth and back through the factor.
    return 16 * tree.entries / _BYTES


def _factorized(tree: FrontTree, matrix: BlockMatrix, sample: int) -> CholeskyFactor | IndefiniteFactor:
    try:
        return CholeskyFactor(tree, matrix.values[sample].detach().double().cpu().numpy())
    except NotPositiveDefiniteError:
        return IndefiniteFactor(matrix, sample)


def solver_for(pattern: SparsityPattern, *, dynamic: bool) -> LinearSolver:
    """Return the solver that takes the least time by an estimate of its work, and log it."""
    unknowns = int(pattern.free.sum())
    if unknowns > _ANALYSED:
        _log.info("ConjugateGradients for %s unknowns", f"{unknowns:,}")
        return ConjugateGradients()
    tree = pattern.analysis(FrontTree, FrontTree)
    products = _PRODUCTS_STEPS if dynamic else _PRODUCTS_STATICS
    factor, iterative = _factor_seconds(tree), products * 72 * len(pattern.columns) / _BYTES
    direct = factor <= max(iterative, _ALWAYS) and 8 * tree.entries <= _LARGEST_FACTOR
    patience = _PATIENCE if factor > _PATIENCE * _solution_seconds(tree) else 0
    solver = SparseDirect(patience=patience) if direct else ConjugateGradients()
    _log.info(
        "%s for %s unknowns: a factor takes some %.2g s and %.2g GiB, conjugate gradients %.2g s",
        *(type(solver).__name__, f"{unknowns:,}", factor, 8 * tree.entries / 2**30, iterative),
    )
    return solver
