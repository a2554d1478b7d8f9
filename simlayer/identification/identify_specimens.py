"""Fits of many specimens in one batch, each with unknowns of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from simlayer.errors import ObservationError
from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.identified import Identified
from simlayer.identification.identified_specimens import IdentifiedSpecimens, SpecimenUnknown
from simlayer.identification.identify import IdentificationProblem
from simlayer.identification.initial_state import InitialState
from simlayer.identification.least_squares import LeastSquares, Linearization
from simlayer.identification.scenes import ObservedScenes
from simlayer.identification.sensors import Observer
from simlayer.identification.specimen_fits import SpecimenFits
from simlayer.identification.specimens import Specimens
from simlayer.identification.uncertainty import assess
from simlayer.identification.unknowns import Unknown
from simlayer.quantities.arguments import checked_flag, checked_integer
from simlayer.quantities.arrays import checked_numbers
from simlayer.quantities.objects import checked_instance
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State


def identify_specimens(
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
    must_converge: bool = True,
) -> IdentifiedSpecimens:
    """Find quantities of many specimens, of each its own, in one batch of simulations.

    Each specimen is fitted as by `identify`, with steps, convergence and standard errors of its own. The
    Jacobian takes as many directions as one specimen has unknown numbers. A fit that fails does not stop the
    others, see `IdentifiedSpecimens.errors`.

    Args:
        rollout: the simulation at the first guess. Its quantities have one value for all specimens, or one
            for each, `(B, own)`; the unknowns get one for each, and start from these.
        data: positions of the observed points of each specimen [m], `(B, T, K, 3)`; NaN where a point was not
            observed.
        unknowns: the names of the quantities, see `print(rollout)`; not `release_time`, which is one for all.
        state: the initial state of all specimens, `(N, 3)`, or `(B, N, 3)`, each.
        observe, times, noise, initial, release_time, frames: as for `IdentificationProblem`.
        max_steps: the most steps of a fit.
        must_converge: whether a fit that needs more has failed; else it ends after them, wherever that is.

    Raises:
        KeyError, ValueError, ObservationError: as for `IdentificationProblem`, or if an unknown has values of
            another number of specimens.
        SimulationError: if no specimen can be simulated at the first guess.
    """
    checked_instance("rollout", rollout, RolloutModule)
    points = checked_numbers("data", data)
    if points.ndim != 4:
        raise ObservationError(
            "data must be of shape (B, T, K, 3), what was observed of B specimens, got shape "
            f"{tuple(points.shape)}; for a single body use identify."
        )
    most = checked_integer("max_steps", max_steps, least=1)
    checked_flag("must_converge", must_converge)
    rollout.step.check_state(state)
    if state.positions.ndim == 2:
        positions, velocities = (part.expand(len(points), -1, -1) for part in state[:2])
        state = State(positions, velocities)
    problem = IdentificationProblem(
        rollout,
        points,
        unknowns,
        state=state,
        observe=observe,
        times=times,
        noise=noise,
        initial=initial,
        release_time=release_time,
        frames=frames,
    )
    for unknown in problem.squares.unknowns:
        _give_each(unknown, len(points))
    specimens = Specimens(problem.observed, problem.squares, problem.scenes)
    return fit_specimens(specimens, max_steps=most, must_converge=must_converge)


def fit_specimens(specimens: Specimens, *, max_steps: int, must_converge: bool) -> IdentifiedSpecimens:
    """Fit specimens from their present values, see `identify_specimens`."""
    optimizer = GaussNewton([unknown.parameter for unknown in specimens.squares.unknowns])
    fits = SpecimenFits(specimens, optimizer.rules, max_trials=optimizer.max_trials)
    fits.solve(max_steps, must_converge=must_converge)
    return _identified(fits)


def _give_each(unknown: Unknown, count: int) -> None:
    """Give an unknown one value for each specimen, at first the same where it has a single one.

    Raises:
        ValueError: if the unknown cannot have that, or has values for another number of specimens.
    """
    if unknown.name == "release_time":
        raise ValueError("unknowns must not name 'release_time', which is one number for all specimens.")
    data, axes = unknown.parameter.data, unknown.quantity.own_axes
    own = data.reshape(data.shape or (1,) * axes)
    if own.ndim == axes:
        own = own.expand(count, *own.shape)
    if own.ndim != axes + 1 or len(own) != count:
        raise ValueError(
            f"{unknown.name} must have one value, or one for each of {count} specimens, got shape "
            f"{tuple(data.shape)}."
        )
    unknown.parameter.data = own.clone()


def _identified(fits: SpecimenFits) -> IdentifiedSpecimens:
    """Return what all fits have found."""
    specimens = fits.specimens
    stored = tuple(
        SpecimenUnknown(u.name, u.module, u.quantity, u.parameter.detach().clone())
        for u in specimens.squares.unknowns
    )
    found = [
        None if k in fits.errors else _found(fits, k, tuple(unknown.of(k) for unknown in stored))
        for k in range(specimens.count)
    ]
    return IdentifiedSpecimens(stored, tuple(found), fits.errors)


def _found(fits: SpecimenFits, index: int, unknowns: tuple[SpecimenUnknown, ...]) -> Identified:
    """Return what the fit of one specimen has found."""
    specimens, one = fits.specimens, slice(index, index + 1)
    squares, scenes = specimens.squares, ObservedScenes(*(part[one] for part in specimens.scenes))
    residuals, jacobian, _ = fits.linearization
    at = Linearization(residuals[one], jacobian[one])
    uncertainty = assess(LeastSquares(squares.observed, squares.loss, unknowns), scenes, at)
    return Identified(unknowns, uncertainty, at.residuals.cpu().numpy(), int(fits.steps[index]))
