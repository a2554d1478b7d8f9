"""The start of a fit: what a coarser simulation finds in a fraction of the time."""

from __future__ import annotations

import math

from simlayer.app.interruption import Interruption
from simlayer.app.problem import FitProblem
from simlayer.app.progress import format_progress
from simlayer.errors import ObservationError, SimulationError
from simlayer.identification.first_guess import FirstGuess
from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.linearized_fit import LinearizedFit
from simlayer.identification.unknowns import summarize

# Where the coarse fit ends, which is only a start: the distance from its minimum [standard errors], and the
# most steps.
PRECISION, MOST = 3.0, 30


def start_from_coarse(problem: FitProblem, interruption: Interruption, *, loud: bool) -> None:
    """Bring the unknowns of a fit to the values found by its coarsest simulation.

    Where that fails, the unknowns keep their first guess.

    Args:
        problem: the fit.
        interruption: obeyed between steps.
        loud: whether to print the loss and the values after each step.

    Raises:
        Interrupted: after a step, if there was a signal.
    """
    coarse = problem.coarser[-1]
    coarse.assign(problem.model)
    squares = coarse.model.least_squares()
    parameters = [unknown.parameter for unknown in squares.unknowns]
    optimizer = GaussNewton(parameters, precision=PRECISION, max_trials=2)
    fit = LinearizedFit(squares, optimizer, FirstGuess(squares.unknowns))
    before = math.inf
    try:
        for number in range(1, MOST + 1):
            loss = optimizer.step(lambda: fit.evaluate(coarse.scenes))
            if loud:
                values = {unknown.name: summarize(unknown.value) for unknown in squares.unknowns}
                print(f"coarse {number:4}  {format_progress(loss, values)}", flush=True)
            interruption.obey()
            if optimizer.converged or not loss < before:
                break
            before = loss
    except (SimulationError, ObservationError) as error:
        if loud:
            print(f"The fit starts at its first guess, because the coarse start failed: {error}", flush=True)
        return
    for unknown, parameter in zip(problem.model.unknowns, parameters, strict=True):
        unknown.parameter.data.copy_(parameter.data)
