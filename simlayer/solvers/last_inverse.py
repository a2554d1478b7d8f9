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

    def kept(self, *, bytes: float, products: float) -> tuple[Tensor, ...]:
        """Return what the last inverse is made of, if that takes at most so many bytes.

        Nothing, too, if the inverse is made in less time than so many products with it take.
        """
        if self.last is None or self.last.products < products:
            return ()
        kept = self.last.kept
        return kept if sum(tensor.nbytes for tensor in kept) <= bytes else ()
