"""Evaluations of a fit by Gauss-Newton."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from simlayer.errors import ObservationError, SimulationError
from simlayer.identification.first_guess import FirstGuess
from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.least_squares import LeastSquares, Linearization
from simlayer.identification.normal_equations import NormalEquations
from simlayer.identification.scenes import ObservedScenes

# As far from where a Jacobian was computed, in stored values, it is updated instead.
NEAR = 0.3


class LinearizedFit:
    """Evaluates the loss of a fit for `GaussNewton`, with its normal equations.

    After a short step, the Jacobian is the one before, changed as little as makes it agree with how the
    residuals have changed (Broyden 1965), unless the optimizer needs it exactly.

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
        self._exact: Tensor | None = None  # the values where the Jacobian was computed last

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
        evaluation = self._known(scenes, exact=self.optimizer.needs_exact)
        if evaluation is None:
            evaluation = self._last = self._evaluated(scenes, total)
            if self._best is None or evaluation.equations.loss <= self._best.equations.loss:
                self._best = evaluation
        if evaluation.exact:
            self.optimizer.equations = evaluation.equations
        else:
            self.optimizer.assign_approximate(evaluation.equations)
        return evaluation.equations.as_loss(unknown.parameter for unknown in self.problem.unknowns)

    def linearization(self, scenes: ObservedScenes) -> Linearization | None:
        """Return the residuals and their Jacobian, if known for these scenes and the present values."""
        evaluation = self._known(scenes, exact=True)
        return None if evaluation is None else evaluation.linearization

    def _evaluated(self, scenes: ObservedScenes, total: Callable[[Tensor], Tensor]) -> _Evaluation:
        found, values = None, self._values()
        base = None if self.optimizer.needs_exact else self._base(scenes, values)
        try:
            with self._guess.explained():
                found = (
                    self.problem.linearized(scenes) if base is None else self._updated(scenes, base, values)
                )
            equations = self.problem.normal_equations(scenes, found)
        except (SimulationError, ObservationError):
            if not self.optimizer.may_retreat:
                raise
            equations = NormalEquations.failed(self.problem.size, scenes.observed.device)
        if base is None and found is not None:
            self._exact = values
        total_equations = equations.over_processes(total)
        return _Evaluation((*scenes, values), found, total_equations, exact=base is None)

    def _base(self, scenes: ObservedScenes, values: Tensor) -> _Evaluation | None:
        """Return the evaluation whose Jacobian may be updated for these values, if there is one."""
        best = self._best
        if best is None or self._exact is None or best.linearization is None or not best.is_of((*scenes,)):
            return None
        return best if 0 < float((values - self._exact).norm()) <= NEAR else None

    @torch.no_grad()
    def _updated(self, scenes: ObservedScenes, base: _Evaluation, values: Tensor) -> Linearization:
        """Return the residuals, and the Jacobian of the base after an update."""
        assert base.linearization is not None
        before, jacobian = base.linearization
        self.problem.observed.check_end()
        residuals, step = self.problem.residuals(scenes), (values - base.inputs[-1]).to(before)
        surprise = residuals - before - jacobian @ step
        return Linearization(residuals, jacobian + surprise[..., None] * step / step.square().sum())

    def _known(self, scenes: ObservedScenes, *, exact: bool) -> _Evaluation | None:
        """Return the evaluation of these scenes at the present values, if there was one."""
        inputs, found = (*scenes, self._values()), (self._last, self._best)
        return next((e for e in found if e and (e.exact or not exact) and e.is_of(inputs)), None)

    def _values(self) -> Float[Tensor, "P"]:
        return parameters_to_vector([u.parameter.detach() for u in self.problem.unknowns]).clone()


class _Evaluation(NamedTuple):
    """The scenes and values of an evaluation, what it gave, and the normal equations of all processes."""

    inputs: tuple[Tensor, ...]
    linearization: Linearization | None
    equations: NormalEquations
    exact: bool

    def is_of(self, inputs: tuple[Tensor, ...]) -> bool:
        """Return whether scenes, and values if they are given, are these, to the last bit."""
        pairs = zip(self.inputs, inputs, strict=False)
        return all(a.shape == b.shape and torch.allclose(a, b, 0, 0, equal_nan=True) for a, b in pairs)
