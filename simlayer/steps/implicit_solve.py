"""The end of an implicit step, and its derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from simlayer.autodiff.implicit_function import ImplicitFunction
from simlayer.errors import ConvergenceError, first_index
from simlayer.quantities.named import NamedTensors
from simlayer.quantities.snapshot import Snapshot
from simlayer.solvers.conjugate_gradients import Solution, conjugate_gradients
from simlayer.solvers.last_inverse import LastInverse
from simlayer.solvers.linear import LinearSolver
from simlayer.solvers.problem import MinimizationProblem, flattened
from simlayer.steps.base import Step
from simlayer.steps.broken_forces import broken_force
from simlayer.steps.contact_checks import check_start, check_way
from simlayer.steps.incremental_potential import IncrementalPotential, StepData
from simlayer.steps.nearby_factor import solution_near

# The residual of the adjoint system that is small enough, relative to its right-hand side, by the precision
# of the products: those with an assembled matrix are in double precision.
_ADJOINT = {torch.float64: 1e-9, torch.float32: 1e-5}


# A factor is kept if it takes as long as so many solutions; one in each step costs more than a single one,
# since its memory is always new.
_WORTH_STATICS, _WORTH_STEPS = 5, 8

# What the data of a step are to a user, in the order of `StepData`.
_READ = (
    "the position or velocity of a vertex",
    "the velocity of a vertex",
    "the position or velocity of a vertex",
    "the prescribed position of a vertex",
    "the sum of the forces without a term",
    "the position of a vertex",
)


class ImplicitSolve(ImplicitFunction):
    """The positions at the end of one implicit step.

    Args:
        step: the step.
        problem: makes its incremental potential for the values that its modules have.
        names: the names of these values, in the order in which they are given after the data of the step.
        minimize: finds the minimum of a problem near a start, with a linear solver.
        solver: how linear systems are solved.
        memory: how much of factors may be kept for backward [bytes].
    """

    def __init__(
        self,
        step: Step,
        problem: Callable[[StepData], IncrementalPotential],
        *,
        names: Sequence[str],
        minimize: Callable[[MinimizationProblem, Tensor, LinearSolver], Tensor],
        solver: LinearSolver,
        memory: float,
    ) -> None:
        self.step, self.problem, self.minimize, self.solver = step, problem, minimize, solver
        self.memory = memory
        # Bound again whenever something is computed: in backward the modules have other values, or none, and
        # the step may have other settings.
        self.names, self.named, self.snapshot = names, NamedTensors(step), Snapshot(step)

    def find(self, *inputs: Tensor) -> Tensor:
        with torch.no_grad(), self._problem(inputs) as problem:
            data = problem.data
            self._check_finite(inputs)
            guesses = [_with_fixed(x, self.step.free, data.fixed) for x in (data.start, data.predicted)]
            check_start(self.step, guesses[0])
            solver = LastInverse(self.solver)
            found = self.minimize(problem, _better(problem, *guesses), solver)
            # In single precision, products with the tangent have to be those with an assembled one.
            if found.dtype == torch.float64:
                worth = _WORTH_STEPS if problem.scheme.inertia else _WORTH_STATICS
                self.kept = solver.kept(bytes=self.memory, products=worth)
            check_way(self.step, data.start, found, is_motion=problem.scheme.inertia > 0)
            return found

    def residual(self, positions: Tensor, *inputs: Tensor) -> Tensor:
        with self._problem(inputs) as problem:
            free, fixed = self.step.free, problem.data.fixed
            gradient = problem.residual(_with_fixed(positions, free, fixed)).gradient
            return gradient + (1 - free) * (positions - fixed)

    def solve_with(self, kept: Sequence[Tensor], positions: Tensor, right: Tensor, *inputs: Tensor) -> Tensor:
        if kept and bool(right.isfinite().all()):
            with torch.no_grad(), self._problem(inputs) as problem:
                inverse = self.solver.restored(problem.assembly.pattern, kept)
                found = solution_near(problem, positions, right, inverse, tolerance=_ADJOINT[right.dtype])
            if found is not None:
                return found
        return self.solve(positions, right, *inputs)

    def solve(self, positions: Tensor, right: Tensor, *inputs: Tensor) -> Tensor:
        with torch.no_grad(), self._problem(inputs) as problem:
            _refuse("the gradient that comes in from what follows an implicit step", right, axes=2)
            tangent, solver = problem.tangent(positions, projected=False), self.solver
            tolerance = _ADJOINT[right.dtype if tangent.others else torch.float64]
            # In double precision, because a single one cannot represent what a slender body needs.
            tangent = tangent.double()
            multiply, inverse = tangent.multiplication(), solver.inverse(tangent.matrix)
            solutions = []
            for each in right.double().view(-1, *positions.shape):
                found = conjugate_gradients(
                    multiply,
                    flattened(each),
                    inverse,
                    tolerance=tolerance,
                    max_iterations=solver.max_iterations,
                )
                if bool((wrong := ~(found.residual <= 10 * tolerance)).any()):
                    raise _unsolved(found, wrong.view(positions.shape[:-2]), solver)
                solutions.append(found.vectors)
        return torch.stack(solutions).view_as(right).to(right)

    def _check_finite(self, inputs: Sequence[Tensor]) -> None:
        """Raise ConvergenceError, with its name, if anything that the step reads is not finite."""
        # All at once: the largest component is not finite if any is not.
        if bool(get_total_norm(inputs, norm_type=math.inf).isfinite()):
            return
        count, quantities = len(StepData._fields), self.named.quantities
        values = dict(zip(self.names, inputs[count:], strict=True))
        # Quantities first: what is derived from them is not to blame.
        for name in sorted(values, key=lambda name: name not in quantities):
            _refuse(name, values[name], axes=self.named.own_axes.get(name, values[name].ndim))
        start = StepData(*inputs[:count]).start
        # What was computed from forces is not to blame either.
        if bool(start.isfinite().all()) and (found := broken_force(self.step, start)):
            raise ConvergenceError(
                f"{found} is not finite at the start of an implicit step, where all positions and quantities "
                "are: look at its formula, and at parameters and buffers of its own."
            )
        for name, tensor in zip(_READ, inputs[:count], strict=True):
            _refuse(name, tensor, axes=2)

    @contextmanager
    def _problem(self, inputs: Sequence[Tensor]) -> Iterator[IncrementalPotential]:
        count = len(StepData._fields)
        values = dict(zip(self.names, inputs[count:], strict=True))
        with self.snapshot.restored(), self.named.substituted(values):
            yield self.problem(StepData(*inputs[:count]))


def _unsolved(found: Solution, wrong: Tensor, solver: LinearSolver) -> ConvergenceError:
    """Return the error of a linear system of backward that was not solved in some samples."""
    sample = first_index(wrong) if wrong.ndim else ()
    flat = int(wrong.flatten().nonzero()[0])
    if bool(found.indefinite[flat]):
        why = (
            "its matrix is not positive definite, so the state is no stable one (a body that buckles, or a "
            "mode without stiffness) and has no gradient. Follow the stable branch, say with a small load "
            "sideways"
        )
    elif found.iterations >= solver.max_iterations:
        why = "it ran out of iterations. Give the step solver=SparseDirect(), or more max_iterations"
    else:
        why = "its matrix is too close to singular. Look for parts of the body that hardly anything holds"
    return ConvergenceError(
        f"the linear system of backward was not solved{f' in sample {sample}' if sample else ''}: residual "
        f"{float(found.residual[flat]):.1e} after {found.iterations} iterations of "
        f"{type(solver).__name__}; {why}.",
        sample=sample,
    )


def _refuse(name: str, value: Tensor, *, axes: int) -> None:
    """Raise ConvergenceError if a value with so many axes of its own is not finite."""
    wrong = ~value.isfinite()
    if bool(wrong.any()):
        index = first_index(wrong)
        sample = index[: max(value.ndim - axes, 0)]
        raise ConvergenceError(
            f"{name} is {float(value[index])} at the start of an implicit step"
            f"{f', in sample {sample}' if sample else ''}, at index {index} of shape {tuple(value.shape)}. "
            "Look at what it was given or computed from.",
            sample=sample,
        )


def _with_fixed(positions: Tensor, free: Tensor, fixed: Tensor) -> Tensor:
    """Return the positions with the fixed components where they have to be."""
    return free * positions + (1 - free) * fixed


def _better(problem: IncrementalPotential, first: Tensor, second: Tensor) -> Tensor:
    """Return of two guesses in each sample the one with the lower energy, if the way to it is free."""
    better = problem.value(second) < problem.value(first)
    better = better & (problem.feasible_fraction(first, second - first) >= 1)
    return torch.where(better[..., None, None], second, first)
