"""The end of an implicit step, and its derivatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from simlayer.autodiff.implicit_function import ImplicitFunction
from simlayer.errors import ConvergenceError
from simlayer.quantities.named import NamedTensors
from simlayer.solvers.conjugate_gradients import conjugate_gradients
from simlayer.solvers.linear import LinearSolver
from simlayer.solvers.problem import MinimizationProblem, flattened
from simlayer.steps.base import Step
from simlayer.steps.contact_checks import check_start, check_way
from simlayer.steps.incremental_potential import IncrementalPotential, StepData

# The residual of the adjoint system that is small enough, relative to its right-hand side.
_ADJOINT = {torch.float64: 1e-9, torch.float32: 1e-5}


class ImplicitSolve(ImplicitFunction):
    """The positions at the end of one implicit step.

    Args:
        step: the step.
        problem: makes its incremental potential for the values that its modules have.
        names: the names of these values, in the order in which they are given after the data of the step.
        minimize: finds the minimum of a problem near a start.
        solver: how linear systems are solved.
    """

    def __init__(
        self,
        step: Step,
        problem: Callable[[StepData], IncrementalPotential],
        *,
        names: Sequence[str],
        minimize: Callable[[MinimizationProblem, Tensor], Tensor],
        solver: LinearSolver,
    ) -> None:
        self.step, self.problem, self.minimize, self.solver = step, problem, minimize, solver
        # Bound again whenever something is computed: in backward the modules have other values, or none.
        self.names, self.named = names, NamedTensors(step)

    def find(self, *inputs: Tensor) -> Tensor:
        with torch.no_grad(), self._problem(inputs) as problem:
            data = problem.data
            guesses = [_with_fixed(x, self.step.free, data.fixed) for x in (data.start, data.predicted)]
            check_start(self.step, guesses[0])
            found = self.minimize(problem, _better(problem, *guesses))
            check_way(self.step, data.start, found, is_motion=problem.scheme.inertia > 0)
            return found

    def residual(self, positions: Tensor, *inputs: Tensor) -> Tensor:
        free = self.step.free
        with self._problem(inputs) as problem:
            fixed = problem.data.fixed
            gradient = problem.residual(_with_fixed(positions, free, fixed)).gradient
            return gradient + (1 - free) * (positions - fixed)

    def solve(self, positions: Tensor, right: Tensor, *inputs: Tensor) -> Tensor:
        with torch.no_grad(), self._problem(inputs) as problem:
            tangent, solver = problem.tangent(positions, projected=False), self.solver
            found = conjugate_gradients(
                tangent.multiplication(),
                flattened(right),
                solver.inverse(tangent.matrix),
                tolerance=_ADJOINT[right.dtype],
                max_iterations=solver.max_iterations,
            )
        if not bool((found.residual <= 10 * _ADJOINT[right.dtype]).all()):
            raise ConvergenceError(
                "the linear system of backward was not solved: residual "
                f"{float(found.residual.max()):.1e} after {found.iterations} iterations of "
                + type(solver).__name__
                + (", its matrix is not positive definite" if bool(found.indefinite.any()) else "")
                + ". Try another solver, or check that the state is a stable one."
            )
        return found.vectors.view_as(right)

    @contextmanager
    def _problem(self, inputs: Sequence[Tensor]) -> Iterator[IncrementalPotential]:
        count = len(StepData._fields)
        with self.named.substituted(dict(zip(self.names, inputs[count:], strict=True))):
            yield self.problem(StepData(*inputs[:count]))


def _with_fixed(positions: Tensor, free: Tensor, fixed: Tensor) -> Tensor:
    """Return the positions with the fixed components where they have to be."""
    return free * positions + (1 - free) * fixed


def _better(problem: IncrementalPotential, first: Tensor, second: Tensor) -> Tensor:
    """Return of two guesses in each sample the one with the lower energy, if the way to it is free."""
    better = problem.value(second) < problem.value(first)
    better = better & (problem.feasible_fraction(first, second - first) >= 1)
    return torch.where(better[..., None, None], second, first)
