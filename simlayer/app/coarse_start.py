"""The beginning of a fit by a coarser simulation, which takes a fraction of the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.app.interruption import Interruption
from simlayer.app.problem import FitProblem
from simlayer.app.progress import format_progress
from simlayer.errors import ObservationError, SimulationError
from simlayer.identification.first_guess import FirstGuess
from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.least_squares import LeastSquares, Linearization
from simlayer.identification.linearized_fit import LinearizedFit
from simlayer.identification.scenes import ObservedScenes
from simlayer.identification.unknowns import summarize

# The distance from the minimum at which a fit ends [standard errors], and after how many steps: of the coarse
# one, which is only a start, and of that by the simulation itself with the derivatives of the coarse one, of
# which further steps would soon go to a minimum that is none.
COARSE, BORROWED = (1.0, 30), (0.3, 1)


@dataclass(frozen=True)
class BorrowedJacobian(LeastSquares):
    """Least squares of which only the residuals are computed.

    Attributes:
        jacobian: that of a similar problem, taken for its own.
    """

    jacobian: Float[Tensor, "B F K 3 P"]

    @torch.no_grad()
    def linearized(self, scenes: ObservedScenes) -> Linearization:
        self.observed.check_end()
        return Linearization(self.residuals(scenes), self.jacobian)


def start_from_coarse(problem: FitProblem, interruption: Interruption, *, loud: bool) -> None:
    """Bring the unknowns of a fit near to its minimum by its coarsest simulation and two rollouts of its own.

    These take the derivatives of the coarse simulation. Where one of the two fails, the unknowns stay.

    Args:
        problem: the fit.
        interruption: obeyed between steps.
        loud: whether to print the loss and the values after each step.
    """

    def show(name: str, squares: LeastSquares, number: int, loss: float) -> None:
        values = {unknown.name: summarize(unknown.value) for unknown in squares.unknowns}
        if loud:
            print(f"{name} {number:4}  {format_progress(loss, values)}", flush=True)
        interruption.obey()

    coarsest, squares = problem.coarser[-1], problem.model.least_squares()
    before = [unknown.parameter.detach().clone() for unknown in squares.unknowns]
    try:
        coarsest.assign(problem.model)
        coarse = coarsest.model.least_squares()
        found = _minimized(coarse, coarsest.scenes, *COARSE, lambda *args: show("coarse", coarse, *args))
        for unknown, other in zip(squares.unknowns, coarse.unknowns, strict=True):
            unknown.parameter.data.copy_(other.parameter.data)
        borrowed = BorrowedJacobian(squares.observed, squares.loss, squares.unknowns, found.jacobian)
        _minimized(borrowed, problem.scenes, *BORROWED, lambda *args: show("start ", squares, *args))
    except (SimulationError, ObservationError) as error:
        if loud:
            print(f"The fit starts at its first guess, because a simulation failed: {error}", flush=True)
        for unknown, value in zip(squares.unknowns, before, strict=True):
            unknown.parameter.data.copy_(value)


def _minimized(
    squares: LeastSquares,
    scenes: ObservedScenes,
    precision: float,
    most: int,
    show: Callable[[int, float], None],
) -> Linearization:
    """Bring the unknowns to the minimum by Gauss-Newton, and return the residuals and Jacobian there."""
    parameters = [unknown.parameter for unknown in squares.unknowns]
    optimizer = GaussNewton(parameters, precision=precision, max_trials=2)
    fit = LinearizedFit(squares, optimizer, FirstGuess(squares.unknowns))
    before = float("inf")
    for number in range(1, most + 1):
        loss = optimizer.step(lambda: fit.evaluate(scenes))
        show(number, loss)
        if optimizer.converged or not loss < before:
            break
        before = loss
    # A trial that was not accepted may have taken the place of what was known here.
    known = fit.linearization(scenes)
    return squares.linearized(scenes) if known is None else known
