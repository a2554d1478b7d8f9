"""Multiple shooting: long recordings fitted in windows that start anew, and are made to follow each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from simlayer.errors import ConvergenceError, SimulationError
from simlayer.identification.block_tridiagonal import Eliminated, WindowEquations
from simlayer.identification.descent import Place
from simlayer.identification.first_guess import FirstGuess
from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.normal_equations import NormalEquations
from simlayer.identification.shooting_windows import ShootingWindows

# How many observed points the gap of an amplitude counts as in the first round, and by what factor more in
# each of the next; how many rounds there are.
FIRST_WEIGHT, RAISE, ROUNDS = 1.0, 10.0, 5

# The windows are at their best once they alone would reduce the loss by less than this share.
SETTLED = 1e-3
# How often they are improved for values of the unknowns, and a step of theirs is halved.
IMPROVEMENTS, HALVINGS = 8, 6


@dataclass(frozen=True)
class _Evaluation:
    """The starts of the windows that belong to some values, the equations there, and what follows."""

    starts: Float[Tensor, "W D"]
    windows: WindowEquations
    eliminated: Eliminated

    @property
    def equations(self) -> NormalEquations:
        return self.eliminated.equations


class MultipleShooting:
    """The fit of unknowns to a recording in windows (Bock 1983), by Gauss-Newton.

    The starts of the windows are eliminated (block-tridiagonal), at their best for each value of the unknowns
    (variable projection, Golub and Pereyra 1973), so that the trust region, as for `GaussNewton`, is of the
    unknowns only. Gaps between windows count more in every round.

    Args:
        windows: the residuals.
        max_steps: the most steps of a round.
    """

    def __init__(self, windows: ShootingWindows, *, max_steps: int = 50) -> None:
        self.windows, self.max_steps = windows, max_steps
        self._parameters = [unknown.parameter for unknown in windows.squares.unknowns]
        self._guess = FirstGuess(windows.squares.unknowns)
        self._rules = GaussNewton(self._parameters).rules
        self.starts, self.steps = windows.starts(), 0

    def solve(self) -> None:
        """Find the unknowns, in rounds.

        Raises:
            ConvergenceError: if a round takes more than `max_steps` steps.
            SimulationError: if the windows cannot be simulated at the first guess.
        """
        for index in range(ROUNDS):
            before = self.steps
            self._round(FIRST_WEIGHT * RAISE**index)
            if index and self.steps == before:  # Closing the gaps further changes nothing.
                break

    def _round(self, weight: float) -> None:
        here, before = self._settled(self.starts, weight), self.steps
        place = self._rules.begin(self._values(), here.equations)
        while not bool(place.converged):
            if self.steps == before + self.max_steps:
                raise ConvergenceError(self._not_converged(place))
            place, here = self._step(place, here, weight)
            self.steps += 1
        self._assign(place.at)
        self.starts = here.starts

    def _not_converged(self, place: Place) -> str:
        return (
            f"multiple shooting has not converged in {self.max_steps} steps of one round; the loss is "
            f"{float(place.equations.loss):.3g} m². Take shorter windows, in which the phase is not lost "
            "(windows), or allow more steps (max_steps)."
        )

    def _step(self, place: Place, here: _Evaluation, weight: float) -> tuple[Place, _Evaluation]:
        """Try a step of the unknowns."""
        step = self._rules.step(place)
        self._assign(place.at + step)
        there, equations = None, NormalEquations.failed(len(step), step.device)
        try:
            there = self._settled(here.starts + here.eliminated.windows(step), weight)
            equations = there.equations
        except SimulationError:
            if place.radius <= 0.01 * self._rules.trust_radius:
                raise
        place, taken = self._rules.judge(place, step, self._values(), equations)
        if bool(taken) and there is not None:
            return place, there
        self._assign(place.at)
        return place, here

    def _settled(self, starts: Float[Tensor, "W D"], weight: float) -> _Evaluation:
        """Return the evaluation with the windows at their best for the present values."""
        here = self._evaluated(starts, weight)
        for _ in range(IMPROVEMENTS):
            if here.eliminated.decrement <= SETTLED * here.windows.loss:
                break
            better = self._improved(here, weight)
            if better is None:
                break
            here = better
        return here

    def _improved(self, here: _Evaluation, weight: float) -> _Evaluation | None:
        """Return an evaluation with better starts of the windows, None if none is found."""
        for share in (0.5**k for k in range(HALVINGS)):
            try:
                there = self._evaluated(here.starts - share * here.eliminated.offset, weight)
            except SimulationError:
                continue
            if there.windows.loss < here.windows.loss:
                return there
        return None

    def _evaluated(self, starts: Float[Tensor, "W D"], weight: float) -> _Evaluation:
        with self._guess.explained():
            found = self.windows.linearized(starts, weight)
        return _Evaluation(starts, found, found.eliminated())

    def _values(self) -> Float[Tensor, "P"]:
        return parameters_to_vector(self._parameters).detach().double().cpu()

    @torch.no_grad()
    def _assign(self, values: Float[Tensor, "P"]) -> None:
        parts = values.split([parameter.numel() for parameter in self._parameters])
        for parameter, part in zip(self._parameters, parts, strict=True):
            parameter.copy_(part.reshape(parameter.shape))
