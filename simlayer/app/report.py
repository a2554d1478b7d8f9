"""Printed output of a run: the announcement before the fit, the table after it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from simlayer.app.problem import FitProblem
from simlayer.identification.losses import format_residual
from simlayer.identification.unknowns import format_unknown, format_value


def announce(config: DictConfig, problem: FitProblem, folder: Path) -> None:
    """Print what will be done, before anything takes long."""
    scene, model = problem.scene, problem.model
    step, count = scene.rollout.step, scene.rollout.num_steps
    stable = step.stable_dt(scene.start)
    labels = model.short_names()
    unknowns = ", ".join(f"{labels[u.name]} = {format_unknown(u)}" for u in model.unknowns)
    speed = float(scene.observed.start(scene.start).velocities.detach().norm(dim=-1).max())
    compiled = {"False": "not compiled", "auto": "compiled if it pays"}.get(
        str(scene.rollout.compiler), "compiled"
    )
    limit = f"stable up to {stable:.2g} s" if math.isfinite(stable) else "stable at any length"
    print(scene.mesh)
    fixed = int(scene.fixed.any(1).sum())
    scenes = len(scene.start.positions)
    print(f"Scenes:    {scenes}, {fixed} fixed vertices, initial speeds up to {speed:.3g} m/s")
    print(f"Time:      {count} steps of {step.dt:.2g} s ({limit}), {count * step.dt:.3g} s in total")
    print(f"Observed:  {problem.data.description()}")
    if problem.data.path is not None and config.duration is None and len(scene.observed.times) == 1:
        when = float(scene.observed.times)
        print(f"           assumed to be {when:g} s after the release, because no duration is given")
    print(f"Computing: {config.trainer.accelerator}, {config.threads} thread(s), {config.dtype}, {compiled}")
    print(f"Fit:       starts at {unknowns}")
    print(f"Output:    {folder}", flush=True)


def format_table(results: Mapping[str, Any]) -> str:
    """Format one line per parameter, initial -> found (reference, error), then the residuals."""
    lines = [_format_parameter(name, row) for name, row in results["parameters"].items()]
    if "residual" in results:
        lines.append(f"Residual of the fit: {format_residual(results['residual'])}")
    if "holdout" in results:
        other = results["holdout"]
        lines.append(
            f"Residual of the hold-out: {format_residual(other['residual'])}, {other['source']}, released at "
            f"{other['release_time']:.5g} s"
        )
    return "\n".join(lines)


def _format_parameter(name: str, row: Mapping[str, Any]) -> str:
    unit = f" {row['unit']}" if row["unit"] not in ("", "1") else ""
    many = f", mean of {row['values']}" if "values" in row else ""
    text = f"{name}: {format_value(row['initial'])}{unit} -> {format_value(row['found'])}{unit}{many}"
    if row["reference"] is None:
        return text
    reference = f"reference {format_value(row['reference'])}{unit}"
    if row["relative_error"] is not None:
        reference += f", {'median error' if many else 'error'} {row['relative_error']:.2%}"
    return f"{text} ({reference})"
