"""What a search leaves behind for a later solution: the last inverse that it worked with."""

from __future__ import annotations

from torch import Tensor

from simlayer.solvers.block_matrix import BlockMatrix
from simlayer.solvers.linear import Inverse, LinearSolver


class LastInverse(LinearSolver):
    """Another solver, of which the last inverse is remembered."""

    def __init__(self, solver: LinearSolver) -> None:
        self.solver = solver
        self.max_iterations, self.patience = solver.max_iterations, solver.patience
        self.last: Inverse | None = None

    def inverse(self, matrix: BlockMatrix) -> Inverse:
        self.last = self.solver.inverse(matrix)
        return self.last

    def kept(self, most: float) -> tuple[Tensor, ...]:
        """Return what the last inverse is made of, nothing if that takes more than so many bytes."""
        kept = () if self.last is None else self.last.kept
        return kept if sum(tensor.nbytes for tensor in kept) <= most else ()
