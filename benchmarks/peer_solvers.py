"""Linear solvers of other libraries, made for a matrix; each returns the solution of a right-hand side."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg, splu

Solve = Callable[[np.ndarray], tuple[np.ndarray, int]]


def missing() -> dict[str, str]:
    """What to install for the peers that are not there, by their names."""
    wanted = {
        "PARDISO": ("pypardiso", "pip install pypardiso==0.4.7"),
        "pyamg": ("pyamg", "pip install pyamg==5.4.1"),
    }
    return {name: remedy for name, (package, remedy) in wanted.items() if find_spec(package) is None}


def superlu(matrix: sparse.csr_matrix) -> Solve:
    """SciPy's LU factors, with the options for symmetric matrices."""
    options = {"SymmetricMode": True}
    factors = splu(
        sparse.csc_matrix(matrix), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options
    )
    return lambda right: (factors.solve(right), 0)


def pardiso(matrix: sparse.csr_matrix) -> Solve:
    """The Cholesky factors of MKL's PARDISO."""
    from pypardiso import PyPardisoSolver

    upper = sparse.triu(matrix, format="csr")
    solver = PyPardisoSolver(mtype=2)
    solver.set_phase(12)
    zeros = np.zeros(matrix.shape[0])
    solver._call_pardiso(upper, zeros)

    def solve(right: np.ndarray) -> tuple[np.ndarray, int]:
        solver.set_phase(33)
        return solver._call_pardiso(upper, right), 0

    return solve


def multigrid(matrix: sparse.csr_matrix, motions: np.ndarray, tolerance: float, smooth: str) -> Solve:
    """Conjugate gradients with smoothed aggregation (Vanek, Mandel, Brezina 1996), which knows rigid motions.

    Args:
        matrix: of whole vertices.
        motions: the six rigid-body modes, a column each.
        tolerance: of the residual relative to the right-hand side.
        smooth: how the interpolation is smoothed, "energy" or "jacobi".
    """
    import pyamg

    sweep = ("block_gauss_seidel", {"sweep": "symmetric"})
    levels = pyamg.smoothed_aggregation_solver(
        sparse.bsr_matrix(matrix, blocksize=(3, 3)),
        B=motions,
        symmetry="symmetric",
        strength=("symmetric", {"theta": 0.0}),
        smooth=smooth,
        presmoother=sweep,
        postsmoother=sweep,
        improve_candidates=None,
        max_coarse=100,
        coarse_solver="splu",
    )
    precondition = levels.aspreconditioner(cycle="V")

    def solve(right: np.ndarray) -> tuple[np.ndarray, int]:
        return conjugate_gradients(matrix, right, precondition, tolerance)

    return solve


def conjugate_gradients(
    matrix: sparse.csr_matrix, right: np.ndarray, precondition: LinearOperator, tolerance: float
) -> tuple[np.ndarray, int]:
    """The solution by SciPy's conjugate gradients, and the number of iterations."""
    count = 0

    def note(_: np.ndarray) -> None:
        nonlocal count
        count += 1

    found, _ = cg(matrix, right, rtol=tolerance, maxiter=3000, M=precondition, callback=note)
    return found, count
