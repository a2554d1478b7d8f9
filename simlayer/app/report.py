"""What a run says before it fits, and what it writes afterwards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from omegaconf import DictConfig
from torch import Tensor

from simlayer.app.data import Data
from simlayer.app.movie import write_movie
from simlayer.app.plots import convergence_picture, field_picture
from simlayer.app.problem import Task
from simlayer.app.results import write_results
from simlayer.app.scene import Scene
from simlayer.identification.history import History
from simlayer.identification.losses import residual
from simlayer.identification.module import ParameterIdentification
from simlayer.identification.unknowns import summary, taking
from simlayer.mesh.paraview import write_frames
from simlayer.state import State

FRAMES = 40


def announce(
    config: DictConfig, scene: Scene, data: Data, model: ParameterIdentification, folder: Path
) -> None:
    """What will be done, before anything takes long."""
    step, count = scene.rollout.step, scene.rollout.num_steps
    stable = step.stable_dt(scene.start)
    labels = _labels(model)
    trained = ", ".join(f"{labels[u.name]} = {summary(u)}" for u in model.unknowns)
    speed = float(scene.observed.start(scene.start).velocities.detach().norm(dim=-1).max())
    compiled = {"False": "not compiled", "auto": "compiled if it pays"}.get(
        str(scene.rollout.compiler), "compiled"
    )
    print(scene.mesh)
    held = int(scene.held.any(1).sum())
    print(f"Scenes:    {len(scene.start.positions)}, {held} vertices held, starting at up to {speed:.3g} m/s")
    limit = f"{stable:.2g} s" if math.isfinite(stable) else "any"
    print(f"Time:      {count} steps of {step.dt:.2g} s (stable: {limit}), {count * step.dt:.3g} s")
    print(f"Seen:      {data.described()}")
    if data.path is not None and config.duration is None and len(scene.observed.times) == 1:
        when = float(scene.observed.times)
        print(f"           taken to be {when:g} s after the release, because no duration is given")
    print(f"Computing: {config.trainer.accelerator}, {config.threads} thread(s), {config.dtype}, {compiled}")
    print(f"Fit:       from {trained}")
    print(f"Output:    {folder}", flush=True)


def picture(data: Data, scene: Scene, seen: Tensor, points: Mapping[str, Tensor]) -> Figure:
    """The points of simulations of the first scene, by title, over those seen."""
    return data.picture(scene.mesh, scene.observed.times, seen, points)


@torch.no_grad()
def write_outcome(
    folder: Path,
    task: Task,
    history: History,
    initial: Mapping[str, Tensor],
    results: Mapping[str, Any],
) -> dict[str, Any]:
    """results.json, pictures and the motion that was found; the model stays at what was found.

    Returns the results together with how far what was found is from what was seen.
    """
    data, scene, scenes, model = task.data, task.scene, task.scenes, task.model
    start = State(scenes.positions[:1], scenes.velocities[:1])
    with taking(model.known, initial):
        bodies = {"first guess": model(start)[0]}
    bodies["found"] = model(start)[0]
    results = {**results, "residual": residual(bodies["found"], scenes.seen[0])}
    picture(data, scene, scenes.seen[0], bodies).savefig(folder / "found_over_target.png", dpi=150)
    if task.unseen is not None:
        results["unseen"], points = task.unseen.compared(start)
        drawn = {"found on the other": points}
        times = task.unseen.observed.times
        figure = task.unseen.data.picture(scene.mesh, times, task.unseen.points, drawn)
        figure.savefig(folder / "found_over_unseen.png", dpi=150)
    write_results(folder, results)
    labels = _labels(model)
    series = {f"{labels[u.name]} [{u.unit}]": history.series(u.name) for u in model.unknowns}
    references = {
        f"{labels[u.name]} [{u.unit}]": float(history.reference[u.name].mean())
        for u in model.unknowns
        if u.name in history.reference
    }
    losses = [row["loss"] for row in history.rows]
    convergence_picture(folder / "convergence.png", losses, series, references)
    arrays: dict[str, Any] = {name: value.numpy() for name, value in model.values().items()}
    np.savez(folder / "found.npz", **arrays)
    fields = {u.name: u.value for u in model.unknowns if u.value.shape == (len(scene.mesh.cells),)}
    for name, value in fields.items():
        drawn = {"found": value}
        if name in history.reference:
            drawn["reference"] = history.reference[name].expand_as(value)
        label = f"{labels[name]} [{model.known[name].unit}]"
        field_picture(folder / f"{labels[name]}.png", scene.mesh, drawn, label=label)
    every = math.ceil(scene.rollout.num_steps / FRAMES)
    motion = scene.rollout.trajectory(scene.observed.start(start), every=every).positions[:, 0]
    times = torch.arange(len(motion)) * every * scene.rollout.step.dt
    cell_fields = {labels[name]: value for name, value in fields.items()}
    write_movie(folder / "motion.mp4", scene.mesh, motion)
    write_frames(folder / "motion.pvd", scene.mesh, motion, times=times, cell_fields=cell_fields)
    return results


def _labels(model: ParameterIdentification) -> dict[str, str]:
    """The last word of each unknown's name, or all of it where two end alike."""
    last = [unknown.name.rpartition(".")[2] for unknown in model.unknowns]
    return {
        unknown.name: word if last.count(word) == 1 else unknown.name
        for unknown, word in zip(model.unknowns, last, strict=True)
    }
