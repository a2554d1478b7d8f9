"""Fits from Python without Lightning: a rollout, sensors and data in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from simlayer.errors import ConvergenceError
from simlayer.identification.first_guess import FirstGuess
from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.least_squares import LeastSquares
from simlayer.identification.linearized_fit import LinearizedFit
from simlayer.identification.losses import PositionLoss
from simlayer.identification.measured_values import format_measured
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.scenes import ObservedScenes, checked_scenes
from simlayer.identification.uncertainty import Uncertainty, assess
from simlayer.identification.undetermined import describe_undetermined
from simlayer.identification.unknowns import Unknown, select_unknowns
from simlayer.quantities.arguments import checked_integer
from simlayer.quantities.arrays import checked_numbers
from simlayer.quantities.objects import checked_names
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State

Observer = Callable[[Float[Tensor, "*batch N 3"]], Float[Tensor, "*batch K 3"]]


@dataclass(frozen=True)
class Identified:
    """What a fit has found. The rollout itself has the values, too.

    Attributes:
        unknowns: the quantities.
        uncertainty: of their values.
        residuals: simulated minus observed coordinates [m], times their weights where `noise` is given,
            `(B, T, K, 3)`; zero where nothing was observed.
        steps: how many steps the fit took.
    """

    unknowns: tuple[Unknown, ...]
    uncertainty: Uncertainty
    residuals: Float[np.ndarray, "B T K 3"]
    steps: int

    @property
    def values(self) -> dict[str, float]:
        """The values by name [SI]; those that are not determined are where the fit stopped."""
        return dict(zip(self.uncertainty.names, self.uncertainty.values.tolist(), strict=True))

    @property
    def standard_errors(self) -> dict[str, float]:
        """The standard errors by name [SI], infinite for what is not determined."""
        return dict(zip(self.uncertainty.names, self.uncertainty.standard_errors.tolist(), strict=True))

    @property
    def undetermined(self) -> list[str]:
        """A sentence for everything that the data do not determine, with what would determine it."""
        return describe_undetermined(self.uncertainty, self.unknowns)

    def __str__(self) -> str:
        units = [unknown.unit for unknown in self.unknowns for _ in range(unknown.parameter.numel())]
        rows = zip(self.values.items(), self.standard_errors.values(), units, strict=True)
        lines = [
            f"{name} = {format_measured(value, error, unit) if np.isfinite(error) else 'not determined'}"
            for (name, value), error, unit in rows
        ]
        return "\n".join([*self.undetermined, *lines])


class IdentificationProblem:
    """Quantities of a rollout, to be found from observations of a body.

    Args:
        rollout: the simulation at the first guess.
        data: positions of the observed points [m], `(T, K, 3)`, or `(B, T, K, 3)` for several initial states;
            NaN where a point was not observed.
        unknowns: the names of the quantities, see `print(rollout)`; or `release_time`.
        state: the initial state, `(N, 3)`, or `(B, N, 3)`, each.
        observe: maps positions to the observed points, such as `Markers` and `Vertices`.
        times: the times of the observations [s].
        noise: the standard deviations of the coordinates, relative to each other, see `PositionLoss`.
        options: of `ObservedRollout`: `release_time`, `frames`, `initial`.

    Raises:
        KeyError: if a name is unknown, or the end of several names.
        ValueError: if none is given.
        ObservationError: if data, times and state do not fit together.
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
        **options: Any,
    ) -> None:
        sensors = observe if isinstance(observe, nn.Module) else _Function(observe)
        observed = ObservedRollout(rollout, sensors, checked_numbers("times", times), **options)
        points = checked_numbers("data", data).to(state.positions)
        parts = ((state.positions, 3), (state.velocities, 3), (points, 4))
        self.scenes = checked_scenes(ObservedScenes(*(x[None] if x.ndim < axes else x for x, axes in parts)))
        names = checked_names("unknowns", [unknowns] if isinstance(unknowns, str) else unknowns)
        candidates = observed.quantities_by_name()
        selected = list(dict.fromkeys(select_unknowns(candidates, names)))
        if not selected:
            raise ValueError(f"unknowns must name at least one of {list(candidates)}, got none.")
        self.squares = LeastSquares(observed, PositionLoss(noise=noise), selected)
        self._guess = FirstGuess(selected)
        self._last: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    @cached_property
    def start(self) -> Float[np.ndarray, "P"]:
        """The first guess, as the vector that `residuals` and `jacobian` take: the stored values."""
        return self._stored()

    def residuals(self, x: Float[np.ndarray, "P"]) -> Float[np.ndarray, "R"]:
        """Return simulated minus observed coordinates [m], times their weights, of what was observed."""
        return self._linearized(x)[0]

    def jacobian(self, x: Float[np.ndarray, "P"]) -> Float[np.ndarray, "R P"]:
        """Return the derivatives of `residuals` with respect to x."""
        return self._linearized(x)[1]

    def assign(self, x: Float[np.ndarray, "P"]) -> None:
        """Set the quantities of the rollout to the stored values x."""
        values = torch.as_tensor(x, dtype=torch.float64)
        parts = values.split([unknown.parameter.numel() for unknown in self.squares.unknowns])
        for unknown, part in zip(self.squares.unknowns, parts, strict=True):
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
                raise ConvergenceError(
                    f"Gauss-Newton has not converged in {most} steps; the loss is {optimizer.loss:.3g} m². "
                    "Start nearer to the solution, or allow more (max_steps)."
                )
            optimizer.step(lambda: fit.evaluate(self.scenes))
            steps += 1
        return self.result(steps)

    def result(self, steps: int = 0) -> Identified:
        """Return the present values with their uncertainty, as those of a fit."""
        with torch.no_grad():
            residuals = self.squares.residuals(self.scenes).cpu().numpy()
        return Identified(tuple(self.squares.unknowns), assess(self.squares, self.scenes), residuals, steps)

    def _stored(self) -> Float[np.ndarray, "P"]:
        parameters = [unknown.parameter.detach() for unknown in self.squares.unknowns]
        return parameters_to_vector(parameters).double().cpu().numpy()

    def _linearized(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return residuals and Jacobian of what was observed, those of the last call if x is the same."""
        if self._last is None or not np.array_equal(x, self._last[0]):
            self.assign(x)
            value, columns = self.squares.linearized(self.scenes)
            here = self.squares.loss.present(self.scenes.observed)
            residuals, jacobian = (part[here].flatten(0, 1).cpu().numpy() for part in (value, columns))
            self._last = np.array(x), residuals, jacobian
        # Copies, which the caller may change.
        return self._last[1].copy(), self._last[2].copy()


def identify(
    rollout: RolloutModule,
    data: Any,
    unknowns: str | Iterable[str],
    *,
    state: State,
    observe: nn.Module | Observer,
    times: Any,
    max_steps: int = 50,
    **options: Any,
) -> Identified:
    """Find quantities of a rollout from observations of a body, with their standard errors.

    Arguments and errors as for `IdentificationProblem`, and `IdentificationProblem.solve`.
    """
    problem = IdentificationProblem(
        rollout, data, unknowns, state=state, observe=observe, times=times, **options
    )
    return problem.solve(max_steps=max_steps)


class _Function(nn.Module):
    """A function as sensors."""

    def __init__(self, function: Observer) -> None:
        super().__init__()
        self.function = function

    def forward(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch K 3"]:
        return self.function(positions)
