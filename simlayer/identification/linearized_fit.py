"""Evaluations of a fit by Gauss-Newton."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.errors import ObservationError, SimulationError
from simlayer.identification.first_guess import FirstGuess
from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.least_squares import LeastSquares
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
        self._last: tuple[tuple[Tensor, ...], Tensor] | None = None

    def evaluate(
        self, scenes: ObservedScenes, total: Callable[[Tensor], Tensor] = lambda part: part
    ) -> Float[Tensor, ""]:
        """Return the loss of the scenes, with its gradient.

        Where the simulation fails after a step of the optimizer, the loss is infinite, and a shorter step is
        tried.

        Args:
            scenes: in several processes, those of this process.
            total: returns the sum of a tensor over all processes.

        Raises:
            SimulationError, ObservationError: if the simulation fails where no shorter step is left.
        """
        try:
            with self._guess.explained():
                equations = self.problem.normal_equations(scenes)
        except (SimulationError, ObservationError):
            if not self.optimizer.may_retreat:
                raise
            equations = NormalEquations.failed(self.problem.size, scenes.observed.device)
        self.optimizer.equations = equations.over_processes(total)
        self._last = self._inputs(scenes), self.optimizer.equations.loss
        return self.optimizer.equations.as_loss(unknown.parameter for unknown in self.problem.unknowns)

    def known_loss(self, scenes: ObservedScenes) -> Tensor | None:
        """Return the loss of the last evaluation if it was one of these scenes, at the present values."""
        if self._last is None:
            return None
        before, loss = self._last
        pairs = zip(before, self._inputs(scenes), strict=True)
        same = all(a.shape == b.shape and torch.allclose(a, b, 0, 0, equal_nan=True) for a, b in pairs)
        return loss if same else None

    def _inputs(self, scenes: ObservedScenes) -> tuple[Tensor, ...]:
        return (*scenes, *(unknown.parameter.detach().clone() for unknown in self.problem.unknowns))
