"""The start of a fit by a coarser simulation, which takes a fraction of the time."""

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

# Where a fit ends: the distance from the minimum [standard errors], and the most steps. The coarse fit is
# only a start. The fine residuals with the Jacobian of the coarse ones take a single step: more of them would
# end beside the minimum, as that Jacobian is not theirs.
COARSE, BORROWED = (1.0, 30), (0.3, 1)


@dataclass(frozen=True)
class BorrowedJacobian(LeastSquares):
    """Least squares whose residuals are computed, and whose Jacobian is that of a similar problem.

    Attributes:
        jacobian: the Jacobian of the similar problem, with respect to the same P stored values.
    """

    jacobian: Float[Tensor, "B F K 3 P"]

    @torch.no_grad()
    def linearized(self, scenes: ObservedScenes) -> Linearization:
        self.observed.check_end()
        return Linearization(self.residuals(scenes), self.jacobian)


def start_from_coarse(problem: FitProblem, interruption: Interruption, *, loud: bool) -> None:
    """Bring the unknowns of a fit near to its minimum by its coarsest simulation and few rollouts.

    The coarse simulation is fitted first; one Gauss-Newton step of the fit itself follows, with the Jacobian
    of the coarse one. Where a simulation fails, the unknowns keep their first guess.

    Args:
        problem: the fit.
        interruption: obeyed between steps.
        loud: whether to print the loss and the values after each step.

    Raises:
        Interrupted: after a step, if there was a signal.
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
            print(f"The fit starts at its first guess, because the coarse start failed: {error}", flush=True)
        for unknown, value in zip(squares.unknowns, before, strict=True):
            unknown.parameter.data.copy_(value)


def _minimized(
    squares: LeastSquares,
    scenes: ObservedScenes,
    precision: float,
    most: int,
    show: Callable[[int, float], None],
) -> Linearization:
    """Bring the unknowns near to the minimum by Gauss-Newton, and return the residuals and Jacobian there.

    Args:
        squares: the residuals.
        scenes: what is fitted.
        precision: the distance from the minimum at which to end [standard errors].
        most: the number of steps after which to end.
        show: called with the number of each step, and the loss after it.
    """
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
