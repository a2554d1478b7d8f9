"""Fits from Python without Lightning: a rollout, sensors and data in NumPy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from simlayer.errors import ConvergenceError, ObservationError
from simlayer.identification.descent import not_converged
from simlayer.identification.first_guess import FirstGuess
from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.identified import Identified
from simlayer.identification.initial_state import InitialState
from simlayer.identification.least_squares import LeastSquares
from simlayer.identification.linearized_fit import LinearizedFit
from simlayer.identification.losses import PositionLoss
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.scenes import ObservedScenes, checked_scenes
from simlayer.identification.sensors import FunctionSensors, Observer
from simlayer.identification.uncertainty import assess, parameter_names
from simlayer.identification.unknowns import select_trainable
from simlayer.quantities.arguments import checked_integer
from simlayer.quantities.arrays import checked_numbers, described
from simlayer.quantities.objects import checked_names
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State


class IdentificationProblem:
    """Quantities of a rollout, to be found from observations of a body.

    Args:
        rollout: the simulation at the first guess.
        data: positions of the observed points [m], `(T, K, 3)`, or `(B, T, K, 3)` for several initial states;
            NaN where a coordinate was not observed.
        unknowns: the names of the quantities, see `print(rollout)`; or `release_time`.
        state: the initial state, `(N, 3)`, or `(B, N, 3)`, each.
        observe: maps positions to the observed points, such as `Markers` and `Vertices`.
        times: the times of the observations [s].
        noise: the standard deviations of the coordinates, relative to each other, see `PositionLoss`.
        initial, release_time, frames: as for `ObservedRollout`.

    Raises:
        KeyError: if a name is unknown, or the end of several names.
        ValueError: if none is given.
        ObservationError: if data, times and state do not fit together, or nothing was observed.
    """

    def __init__(
        self,
        rollout: RolloutModule,
        data: Any,
        unknowns: str | Iterable[str],
        *,
        state: State,
        observe: nn.Module | Observer,
        times: Any,
        noise: Any = None,
        initial: InitialState | None = None,
        release_time: float = 0.0,
        frames: int = 4,
    ) -> None:
        sensors = observe if isinstance(observe, nn.Module) else FunctionSensors(observe)
        self.observed = observed = ObservedRollout(
            rollout,
            sensors,
            checked_numbers("times", times),
            initial=initial,
            release_time=release_time,
            frames=frames,
        )
        rollout.step.check_state(state)
        points = checked_numbers("data", data).to(state.positions)
        if points.ndim not in (3, 4) or points.shape[-1] != 3 or points.shape[-3] != len(observed.times):
            raise ObservationError(
                "data must be of shape (T, K, 3), or (B, T, K, 3), with a frame for each of the times, got "
                f"shape {tuple(points.shape)} and times of shape {tuple(observed.times.shape)}."
            )
        parts = ((state.positions, 3), (state.velocities, 3), (points, 4))
        self.scenes = checked_scenes(ObservedScenes(*(x[None] if x.ndim < axes else x for x, axes in parts)))
        names = checked_names("unknowns", [unknowns] if isinstance(unknowns, str) else unknowns)
        candidates = observed.quantities_by_name()
        selected = select_trainable(candidates, names)
        if not selected:
            raise ValueError(f"unknowns must name at least one of {list(candidates)}, got none.")
        self.squares = LeastSquares(observed, PositionLoss(noise=noise), selected)
        self._guess = FirstGuess(selected)
        parameters = [unknown.parameter.detach() for unknown in selected]
        self._start = parameters_to_vector(parameters).double().cpu().numpy()

    @property
    def start(self) -> Float[np.ndarray, "P"]:
        """The first guess, as the vector that `residuals` and `jacobian` take: the stored values."""
        return self._start.copy()

    def residuals(self, x: Float[np.ndarray, "P"]) -> Float[np.ndarray, "R"]:
        """Return simulated minus observed coordinates [m], times their weights, of what was observed."""
        self.assign(x)
        self.squares.observed.check_end()
        with torch.no_grad():
            return self._of_observed(self.squares.residuals(self.scenes))

    def jacobian(self, x: Float[np.ndarray, "P"]) -> Float[np.ndarray, "R P"]:
        """Return the derivatives of `residuals` with respect to x."""
        self.assign(x)
        return self._of_observed(self.squares.linearized(self.scenes)[1])

    def assign(self, x: Float[np.ndarray, "P"]) -> None:
        """Set the quantities of the rollout to the stored values x.

        Raises:
            ValueError: if x is of another length than `start`, or stands for a value out of range.
        """
        values, unknowns = checked_numbers("x", x), self.squares.unknowns
        if values.shape != self._start.shape:
            names = ", ".join(parameter_names(unknowns))
            raise ValueError(
                f"x must be of shape {self._start.shape}, the stored values of {names}, got {described(x)}."
            )
        parts = values.split([unknown.parameter.numel() for unknown in unknowns])
        pairs = list(zip(unknowns, parts, strict=True))
        try:
            for unknown, part in pairs:
                unknown.check_stored(part)
        except ValueError as error:
            raise ValueError(f"x must hold stored values, got {described(x)}: {error}") from None
        for unknown, part in pairs:
            unknown.parameter.data.copy_(part.reshape(unknown.parameter.shape))

    def solve(self, *, max_steps: int = 50) -> Identified:
        """Find the quantities by Gauss-Newton, from their present values.

        Raises:
            ConvergenceError: if that takes more than `max_steps` steps.
            SimulationError: if the simulation fails.
        """
        most = checked_integer("max_steps", max_steps, least=1)
        optimizer = GaussNewton([unknown.parameter for unknown in self.squares.unknowns])
        fit = LinearizedFit(self.squares, optimizer, self._guess)
        steps = 0
        while not optimizer.converged:
            if steps == most:
                raise ConvergenceError(not_converged(most, optimizer.loss))
            optimizer.step(lambda: fit.evaluate(self.scenes))
            steps += 1
        return self.result(steps)

    def result(self, steps: int = 0) -> Identified:
        """Return the present values with their uncertainty, as those of a fit of so many steps."""
        steps = checked_integer("steps", steps, least=0)
        with torch.no_grad():
            residuals = self.squares.residuals(self.scenes).cpu().numpy()
        return Identified(tuple(self.squares.unknowns), assess(self.squares, self.scenes), residuals, steps)

    def _of_observed(self, values: Float[Tensor, "B T K 3 ..."]) -> Float[np.ndarray, "R ..."]:
        """Return the rows of the coordinates that were observed."""
        return values[self.squares.loss.present(self.scenes.observed)].cpu().numpy()


def identify(
    rollout: RolloutModule,
    data: Any,
    unknowns: str | Iterable[str],
    *,
    state: State,
    observe: nn.Module | Observer,
    times: Any,
    noise: Any = None,
    initial: InitialState | None = None,
    release_time: float = 0.0,
    frames: int = 4,
    max_steps: int = 50,
) -> Identified:
    """Find quantities of a rollout from observations of a body, with their standard errors.

    Arguments and errors as for `IdentificationProblem`, and `IdentificationProblem.solve`.
    """
    problem = IdentificationProblem(
        rollout,
        data,
        unknowns,
        state=state,
        observe=observe,
        times=times,
        noise=noise,
        initial=initial,
        release_time=release_time,
        frames=frames,
    )
    return problem.solve(max_steps=max_steps)
