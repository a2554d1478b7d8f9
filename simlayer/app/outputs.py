"""The files of a finished run: results, pictures, arrays, and the motion that was found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simlayer.app.coarse import discretization_changes
from simlayer.app.field_pictures import draw_fields
from simlayer.app.movie import write_motion
from simlayer.app.problem import FitProblem
from simlayer.app.readouts import read_body, summarize_body, write_readouts
from simlayer.app.results import add_discretization, add_uncertainty, write_results
from simlayer.app.surroundings import surroundings
from simlayer.app.takes import Take, recorded_points
from simlayer.errors import ObservationError, SimulationError
from simlayer.identification.history import History
from simlayer.identification.losses import residual
from simlayer.identification.uncertainty import Uncertainty, parameter_names
from simlayer.identification.unknowns import assigned
from simlayer.mesh.paraview import write_frames
from simlayer.plotting import convergence_picture, uncertainty_picture
from simlayer.state import State
from simlayer.viewer.run_folder import POINTS, write_points

FRAMES = 40

# Parameters in the picture of their uncertainty, at most.
DRAWN = 8


@torch.no_grad()
def write_outputs(
    folder: Path,
    problem: FitProblem,
    history: History,
    initial: Mapping[str, Tensor],
    results: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the files of a run whose model is at the values found; return the results with residuals."""
    scene, scenes, model = problem.scene, problem.scenes, problem.model
    motion, every = _motion(problem)
    found = _points(problem.takes, motion, every)
    beside = surroundings(scene.rollout.step)
    residuals = _draw_takes(folder, problem, initial, found, beside)
    results = {**results, "residual": next(iter(residuals.values()))}
    if len(residuals) > 1:
        results["takes"] = residuals
    if model.few_squares:
        at = model.linearized(scenes)
        uncertainty = model.uncertainty(scenes, at)
        results = add_uncertainty(results, model.unknowns, uncertainty)
        if problem.coarser:
            changes = discretization_changes(problem.coarser, model, scenes, at)
            results = add_discretization(results, model, changes)
        _draw_uncertainty(folder, problem, uncertainty)
    if problem.holdout is not None:
        other = problem.holdout
        results["holdout"], points = other.compare(motion, every=every)
        drawn = {"found": points}
        figure = other.data.picture(scene.mesh, other.simulation.times, other.points, drawn, **beside)
        figure.savefig(folder / "found_over_holdout.png", dpi=150)
    write_results(folder, results)
    np.savez(folder / "found.npz", **{name: value.numpy() for name, value in model.values().items()})  # type: ignore[arg-type]
    _draw_convergence(folder, problem, history)
    unknowns, rows = problem.model.unknowns, results["parameters"]
    fields = draw_fields(folder, scene.mesh, unknowns, history.reference, rows, **beside)
    frames, times = _frames(problem, motion, every)
    body = read_body(scene.rollout, frames)
    results["readouts"] = summarize_body(times, body)
    write_results(folder, results)
    write_readouts(folder, scene.mesh, times, frames, body, **beside)
    write_motion(folder, scene.mesh, frames.positions, times, **beside)
    write_frames(
        folder / "motion.pvd",
        scene.mesh,
        frames.positions,
        times=times,
        vertex_fields={
            "displacement [m]": frames.positions - scene.mesh.vertices,
            "velocity [m/s]": frames.velocities,
            **body.vertex_fields(),
        },
        cell_fields=fields,
    )
    write_points(folder / POINTS, recorded_points(problem.takes, found))
    return results


def _motion(problem: FitProblem) -> tuple[State, int]:
    """Return frames of the rollout that serve all recordings, and the steps from one to the next."""
    other = [] if problem.holdout is None else [problem.holdout.simulation.every]
    every = math.gcd(problem.model.observed.every, *other)
    return problem.motion(every), every


def _frames(problem: FitProblem, motion: State, every: int) -> tuple[State, Tensor]:
    """Return some frames of the motion that was found, and their times."""
    rollout = problem.scene.rollout
    wanted = math.ceil(rollout.num_steps / FRAMES)
    if every > wanted:
        motion, every = problem.motion(wanted), wanted
    stride = math.ceil(wanted / every)
    frames = State(motion.positions[::stride, 0], motion.velocities[::stride, 0])
    return frames, torch.arange(len(frames.positions)) * stride * every * rollout.step.dt


def _draw_takes(
    folder: Path,
    problem: FitProblem,
    initial: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    beside: Mapping[str, Any],
) -> dict[str, dict[str, float]]:
    """Draw the first guess and what was found over each recording, and return the residuals by its name."""
    label, guesses = _first_guess(problem, initial)
    residuals = {}
    for name, take in problem.takes.items():
        bodies = {label: guesses[name], "found": found[name]}
        residuals[name] = residual(bodies["found"], take.points)
        mesh, times = problem.scene.mesh, take.observed.times
        figure = take.data.picture(mesh, times, take.points, bodies, **beside)
        title = "target" if take.data is problem.data else name
        figure.savefig(folder / f"found_over_{title}.png", dpi=150)
    return residuals


def _first_guess(problem: FitProblem, initial: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    """Return a label, and the points of each recording at the first guess, by the cheapest simulation."""
    if problem.coarser:
        with suppress(SimulationError, ObservationError):
            return "first guess (coarse)", problem.coarser[-1].points(initial)
    with assigned(problem.model.candidates, initial):
        return "first guess", _points(problem.takes, *_motion(problem))


def _points(takes: Mapping[str, Take], motion: State, every: int) -> dict[str, Tensor]:
    """Return the points of each recording in the frames of a rollout."""
    points = {}
    for name, take in takes.items():
        stride = take.observed.every // every
        frames = State(motion.positions[::stride], motion.velocities[::stride])
        points[name] = take.observed.observe(frames)[0]
    return points


def _draw_convergence(folder: Path, problem: FitProblem, history: History) -> None:
    """Draw the loss and every unknown over the epochs."""
    short = problem.model.short_names()
    series = {short[u.name]: history.series(u.name) for u in problem.model.unknowns}
    units = {short[u.name]: u.unit for u in problem.model.unknowns}
    references = {short[name]: float(value.mean()) for name, value in history.reference.items()}
    losses = [row["loss"] for row in history.rows]
    figure = convergence_picture(losses, series, references, units=units)
    figure.savefig(folder / "convergence.png", dpi=150)


def _draw_uncertainty(folder: Path, problem: FitProblem, uncertainty: Uncertainty) -> None:
    """Draw the ellipses of the parameters that are determined, of the first few where there are many."""
    chosen = uncertainty.determined.nonzero().flatten()[:DRAWN]
    if len(chosen) < 2 or not bool((uncertainty.covariance.diagonal()[chosen] > 0).all()):
        return
    unknowns, reference = problem.model.unknowns, problem.reference
    labels = parameter_names(unknowns, problem.model.short_names())
    units = [u.unit for u in unknowns for _ in range(u.value.numel())]
    true = [
        number
        for u in unknowns
        for number in (
            reference[u.name].expand(u.value.shape).flatten().tolist()
            if u.name in reference
            else [None] * u.value.numel()
        )
    ]
    uncertainty_picture(
        [labels[k] for k in chosen],
        uncertainty.values[chosen],
        uncertainty.covariance[chosen][:, chosen],
        units=[units[k] for k in chosen],
        reference=[true[k] for k in chosen],
    ).savefig(folder / "uncertainty.png", dpi=150)
