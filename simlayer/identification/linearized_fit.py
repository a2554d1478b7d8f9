"""Evaluations of a fit by Gauss-Newton."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.errors import ObservationError, SimulationError
from simlayer.identification.first_guess import FirstGuess
from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.least_squares import LeastSquares, Linearization
from simlayer.identification.normal_equations import NormalEquations
from simlayer.identification.scenes import ObservedScenes


class LinearizedFit:
    """Evaluates the loss of a fit for `GaussNewton`, with its normal equations.

    Args:
        problem: the residuals.
        optimizer: gets the normal equations of every evaluation.
        guess: the first guess of the unknowns.
    """

    def __init__(self, problem: LeastSquares, optimizer: GaussNewton, guess: FirstGuess) -> None:
        self.problem, self.optimizer, self._guess = problem, optimizer, guess
        # The last evaluation, and that with the least loss, which is the last one that was accepted.
        self._last: _Evaluation | None = None
        self._best: _Evaluation | None = None

    def evaluate(
        self, scenes: ObservedScenes, total: Callable[[Tensor], Tensor] = lambda part: part
    ) -> Float[Tensor, ""]:
        """Return the loss of the scenes, with its gradient.

        Where the simulation fails after a step of the optimizer, the loss is infinite, and a shorter step is
        tried. What was evaluated last, or best, is not simulated again.

        Args:
            scenes: in several processes, those of this process.
            total: returns the sum of a tensor over all processes.

        Raises:
            SimulationError, ObservationError: if the simulation fails where no shorter step is left.
        """
        evaluation = self._known(scenes)
        if evaluation is None:
            evaluation = self._last = self._evaluated(scenes, total)
            # An optimizer that starts anew may be at another problem.
            best = self._best if self.optimizer.begun else None
            if best is None or evaluation.equations.loss < best.equations.loss:
                self._best = evaluation
        self.optimizer.equations = evaluation.equations
        return evaluation.equations.as_loss(unknown.parameter for unknown in self.problem.unknowns)

    def linearization(self, scenes: ObservedScenes) -> Linearization | None:
        """Return the residuals and their Jacobian, if known for these scenes and the present values."""
        evaluation = self._known(scenes)
        return None if evaluation is None else evaluation.linearization

    def _evaluated(self, scenes: ObservedScenes, total: Callable[[Tensor], Tensor]) -> _Evaluation:
        found, raised = None, None
        equations = NormalEquations.failed(self.problem.size, scenes.observed.device)
        try:
            with self._guess.explained():
                found = self.problem.linearized(scenes)
            equations = self.problem.normal_equations(scenes, found)
        except Exception as error:
            if not isinstance(error, SimulationError | ObservationError) or not self.optimizer.may_retreat:
                raised = error
        self._agree(raised, total, scenes.observed.device)
        return _Evaluation(self._inputs(scenes), found, equations.over_processes(total))

    @staticmethod
    def _agree(raised: Exception | None, total: Callable[[Tensor], Tensor], device: torch.device) -> None:
        """Raise an error in every process if one of them has failed, as that one joins no later sum."""
        failures = total(torch.tensor(float(raised is not None), device=device))
        if raised is not None:
            raise raised
        if float(failures):
            raise SimulationError("the fit has failed in another process, whose error says why.")

    def _known(self, scenes: ObservedScenes) -> _Evaluation | None:
        """Return the evaluation of these scenes at the present values, if there was one."""
        inputs = self._inputs(scenes)
        return next((kept for kept in (self._last, self._best) if kept and kept.is_of(inputs)), None)

    def _inputs(self, scenes: ObservedScenes) -> tuple[Tensor, ...]:
        return (*scenes, *(unknown.parameter.detach().clone() for unknown in self.problem.unknowns))


class _Evaluation(NamedTuple):
    """The scenes and values of an evaluation, what it gave, and the normal equations of all processes."""

    inputs: tuple[Tensor, ...]
    linearization: Linearization | None
    equations: NormalEquations

    def is_of(self, inputs: tuple[Tensor, ...]) -> bool:
        """Return whether scenes and values are these, to the last bit."""
        pairs = zip(self.inputs, inputs, strict=True)
        return all(a.shape == b.shape and torch.allclose(a, b, 0, 0, equal_nan=True) for a, b in pairs)
