"""Fits of long recordings from Python, by multiple shooting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from torch import nn

from simlayer.errors import ObservationError
from simlayer.identification.identified import Identified
from simlayer.identification.identify import IdentificationProblem
from simlayer.identification.multiple_shooting import MultipleShooting
from simlayer.identification.sensors import Observer
from simlayer.identification.shooting_windows import ShootingWindows
from simlayer.identification.vibration_modes import modal_coordinates
from simlayer.quantities.arguments import checked_integer
from simlayer.quantities.arrays import checked_numbers
from simlayer.quantities.objects import checked_instance
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State


def identify_by_shooting(
    rollout: RolloutModule,
    data: Any,
    unknowns: str | Iterable[str],
    *,
    state: State,
    observe: nn.Module | Observer,
    times: Any,
    windows: int,
    modes: int | None = None,
    noise: Any = None,
    release_time: float = 0.0,
    frames: int = 4,
    max_steps: int = 50,
) -> Identified:
    """Find quantities of a rollout from a long recording, where `identify` ends in a wrong local minimum.

    Over many periods of a vibration a frequency that is a few per cent off loses the phase, and the loss is
    full of local minima. Here the recording is cut into windows of a few periods, each of which starts in a
    state of its own; all are simulated at once as one batch. Gaps between them are closed bit by bit, and
    `identify` ends the fit from there, so that values and standard errors are its own.

    States at the starts of windows are sums of the lowest vibration modes about rest, and steps with a memory
    begin it anew there; what that leaves out is made up for at the end.

    Args:
        rollout, unknowns, observe, times, noise, frames, max_steps: as for `identify`.
        data: positions of the observed points of one recording [m], `(T, K, 3)`; NaN where a point was not
            observed.
        state: the initial state, `(N, 3)` each, which is known.
        windows: how many; each should take a period or two at most, over which the first guess keeps the
            phase.
        modes: how many modes; those that are excited. None for all those of a small body.
        release_time: when the rollout starts by the clock of `times` [s]; it is not identified.

    Raises:
        KeyError, ValueError, ObservationError: as for `identify`, or if there are several recordings, a
            policy, clamps that move, or as many windows as steps.
        ConvergenceError: if a round takes more than `max_steps` steps.
        SimulationError: if the simulation fails.
    """
    checked_instance("rollout", rollout, RolloutModule)
    windows = checked_integer("windows", windows, least=2, most=rollout.num_steps)
    count = None if modes is None else checked_integer("modes", modes, least=1)
    most = checked_integer("max_steps", max_steps, least=1)
    points = checked_numbers("data", data)
    if points.ndim != 3:
        raise ObservationError(f"data must be of one recording, (T, K, 3), got shape {tuple(points.shape)}.")
    problem = IdentificationProblem(
        rollout,
        points,
        unknowns,
        state=state,
        observe=observe,
        times=times,
        noise=noise,
        release_time=release_time,
        frames=frames,
    )
    _check(problem)
    duration = rollout.num_steps * rollout.step.dt / windows
    coordinates = modal_coordinates(rollout.step, state.positions, count, slowest=1 / duration)
    cut = ShootingWindows(problem.observed, problem.squares, problem.scenes, coordinates, windows)
    shooting = MultipleShooting(cut, max_steps=most)
    shooting.solve()
    found = problem.solve(max_steps=most)
    return replace(found, steps=shooting.steps + found.steps)


def _check(problem: IdentificationProblem) -> None:
    """Raise ValueError if a rollout cannot be cut into windows that start anew."""
    rollout, names = problem.observed.rollout, [unknown.name for unknown in problem.squares.unknowns]
    if "release_time" in names:
        raise ValueError("unknowns must not name 'release_time': give it, or find it by identify.")
    if rollout.policy is not None:
        raise ValueError("rollout must have no policy, whose memory at the start of a window is not known.")
    if bool(rollout.step.prescribed_velocities.any()):
        raise ValueError("prescribed_velocities must be zero: windows start with clamps where they began.")
