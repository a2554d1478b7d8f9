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
from simlayer.solvers.problem import Problem, flattened
from simlayer.steps.base import Step
from simlayer.steps.incremental_potential import IncrementalPotential, Motion, Terms

# Of the residual of the adjoint system, relative to its right-hand side.
_ADJOINT = {torch.float64: 1e-9, torch.float32: 1e-5}


class Increment(ImplicitFunction):
    """The positions at the end of one implicit step.

    Args:
        step: whose step.
        terms: of its incremental potential.
        names: of the values that its modules read, in the order in which they are given after the motion.
        minimize: finds the minimum of a problem near a start.
        solver: how linear systems are solved.
    """

    def __init__(
        self,
        step: Step,
        terms: Terms,
        *,
        names: Sequence[str],
        minimize: Callable[[Problem, Tensor], Tensor],
        solver: LinearSolver,
    ) -> None:
        self.step, self.terms, self.minimize, self.solver = step, terms, minimize, solver
        # Bound again whenever something is computed: in backward the modules have other values, or none.
        self.names, self.named = names, NamedTensors(step)

    def find(self, *inputs: Tensor) -> Tensor:
        with torch.no_grad(), self._problem(inputs) as problem:
            motion = problem.motion
            guesses = [_held(x, self.step.free, motion.held) for x in (motion.start, motion.predicted)]
            problem.check_start(guesses[0])
            return self.minimize(problem, _better(problem, *guesses))

    def residual(self, positions: Tensor, *inputs: Tensor) -> Tensor:
        free = self.step.free
        with self._problem(inputs) as problem:
            held = problem.motion.held
            balance = problem.balance(_held(positions, free, held))
            return balance.gradient + (1 - free) * (positions - held)

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
        values = zip(self.names, inputs[len(Motion._fields) :], strict=True)
        with self.named.substituted(dict(values)):
            yield IncrementalPotential(self.step, self.terms, Motion(*inputs[: len(Motion._fields)]))


def _held(positions: Tensor, free: Tensor, held: Tensor) -> Tensor:
    """The positions with the held components where they are held."""
    return free * positions + (1 - free) * held


def _better(problem: IncrementalPotential, first: Tensor, second: Tensor) -> Tensor:
    """Of two guesses in each sample the one with the lower energy, if the way to it is free."""
    better = problem.value(second) < problem.value(first)
    better = better & (problem.longest_move(first, second - first) >= 1)
    return torch.where(better[..., None, None], second, first)
