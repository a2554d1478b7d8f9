"""Printed output of a run: the announcement before the fit, the table after it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from simlayer.app.problem import FitProblem
from simlayer.identification.losses import format_residual
from simlayer.identification.measured_values import EXACT, format_change, format_measured
from simlayer.identification.unknowns import format_unknown, format_value


def announce(
    config: DictConfig, problem: FitProblem, folder: Path, *, given: Collection[str] | None = None
) -> None:
    """Print what will be done, before anything takes long.

    Args:
        config: the composed configuration.
        problem: the fit.
        folder: the folder of the run.
        given: the keys that the user has set; with observations from a file, what was assumed of the body
            beside them is printed.
    """
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
    for take in problem.takes.values():
        print(f"Observed:  {take.data.description()}")
    if problem.data.path is not None:
        print(f"Assumed:   {', '.join(_assumed(config, problem, given or ())) or 'nothing'}")
    print(f"Computing: {config.trainer.accelerator}, {config.threads} thread(s), {config.dtype}, {compiled}")
    print(f"Fit:       starts at {unknowns}")
    print(f"Output:    {folder}", flush=True)


def _assumed(config: DictConfig, problem: FitProblem, given: Collection[str]) -> list[str]:
    """Return what matters for the motion and was not given by the user."""
    scene, step = problem.scene, problem.scene.rollout.step
    moving = bool(scene.start.velocities.any())
    gravity = format_value(step.gravity.detach().flatten().tolist())
    released = _released(config, problem, given)
    assumptions = [
        (_is_given("initial", given), "moving at the release" if moving else "at rest until the release"),
        (not released, released),
        (_is_given("step.density", given), f"density {float(step.density.detach().mean()):g} kg/m³"),
        (_is_given("step.gravity", given), f"gravity {gravity} m/s²"),
        (_is_given("dissipation", given), f"dissipation {', '.join(step.dissipation) or 'none'}"),
    ]
    if config.duration is None and len(scene.observed.times) == 1:
        when = float(scene.observed.times) - float(scene.observed.release_time.detach())
        assumptions.append((_is_given("duration", given), f"observed {when:g} s after the release"))
    return [text for is_known, text in assumptions if not is_known]


def _released(config: DictConfig, problem: FitProblem, given: Collection[str]) -> str:
    """Return when the takes are released of which the user has not said it, in words; nothing if of none."""
    listed = _is_given("takes", given)
    known = [_is_given("observation.release_time", given)]
    known += [listed and part.get("release_time") is not None for part in config.takes]
    times = {
        name: f"{float(take.observed.release_time.detach()):g} s"
        for (name, take), is_known in zip(problem.takes.items(), known, strict=True)
        if not is_known
    }
    if len(known) > 1:
        times = {name: f"{time} ({name})" for name, time in times.items()}
    clock = "the files' clocks" if len(times) > 1 else "the file's clock"
    return f"released at {' and '.join(times.values())} of {clock}" if times else ""


def _is_given(key: str, given: Collection[str]) -> bool:
    return any(_within(name, key) for name in given)


def _within(name: str, key: str) -> bool:
    """Return whether setting a key of the configuration sets another one, or a part of it."""
    return f"{name}.".startswith(f"{key}.") or f"{key}.".startswith(f"{name}.")


def format_table(results: Mapping[str, Any]) -> str:
    """Format what is not determined, a line per parameter, initial -> found (reference, error), residuals."""
    uncertainty = results.get("uncertainty", {"undetermined": ()})
    lines = [f"NOT DETERMINED: {sentence}" for sentence in uncertainty["undetermined"]]
    if steps := uncertainty.get("next_step"):
        lines.append(f"NOT CONVERGED: another step would change the values by {steps:.2g} standard errors.")
    lines += [_format_parameter(name, row) for name, row in results["parameters"].items()]
    if any("±" in line for line in lines):
        lines.append(_format_errors(uncertainty))
    lines += _format_discretization(results["parameters"])
    for name, other in results.get("takes", {}).items():
        lines.append(f"Residual of take {name}: {format_residual(other)}")
    if "residual" in results and "takes" not in results:
        lines.append(f"Residual of the fit: {format_residual(results['residual'])}")
    if "holdout" in results:
        other = results["holdout"]
        lines.append(
            f"Residual of the hold-out: {format_residual(other['residual'])}, {other['source']}, released at "
            f"{other['release_time']:.5g} s"
        )
    return "\n".join(lines)


def format_files(folder: Path) -> str:
    """Format which files a run has written, and what to install for the movie that it has not."""
    files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    line = f"Written to {folder}: {', '.join(files)}"
    if "motion.pvd" in files and "motion.mp4" not in files:
        line += "\nThere is no motion.mp4, which needs the extra `movie`: pip install 'simlayer[movie]'"
    return line


def _format_parameter(name: str, row: Mapping[str, Any]) -> str:
    unit = f" {row['unit']}" if row["unit"] not in ("", "1") else ""
    many = f", mean of {row['values']}" if "values" in row else ""
    text = f"{name}: {format_value(row['initial'])}{unit} -> {_format_found(row, unit)}{many}"
    if row["reference"] is None:
        return text
    reference = f"reference {format_value(row['reference'])}{unit}"
    if row["relative_error"] is not None:
        reference += f", {'median error' if many else 'error'} {row['relative_error']:.2%}"
    lines = [f"{text} ({reference})", *(f"  where it is {line}" for line in format_regions(row))]
    return "\n".join(lines)


def _format_discretization(parameters: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Format what finer meshes and steps would change, a line per parameter, and where that is from."""
    lines = []
    for name, row in parameters.items():
        if "discretization" not in row or not row.get("determined", True):
            continue
        changes = (
            f"{part} {format_change(change, row['unit'])}" for part, change in row["discretization"].items()
        )
        lines.append(f"Discretization of {name}: {', '.join(changes)}")
    if lines:
        lines.append("Discretization: what a mesh or step without error would change, by coarser ones.")
    return lines


def _format_errors(uncertainty: Mapping[str, Any]) -> str:
    numbers, effective = uncertainty["observed_numbers"], uncertainty["effective_numbers"]
    if not uncertainty["correlated_in_time"]:
        return (
            f"Standard errors (±): as if the residuals of the {numbers:,} observed numbers were independent."
        )
    return (
        f"Standard errors (±): residuals are correlated in time, so that the {numbers:,} observed numbers "
        f"tell as much as {effective:,.0f} independent ones."
    )


def _format_found(row: Mapping[str, Any], unit: str) -> str:
    if not row.get("determined", True):
        return f"not determined (stopped at {format_value(row['stopped'])}{unit})"
    found, errors = row["found"], row.get("standard_error")
    if errors is None:
        return f"{format_value(found)}{unit}"
    if isinstance(found, float):
        exact = not errors > EXACT * abs(found)
        return f"{format_value(found)}{unit}" if exact else format_measured(found, errors, row["unit"])
    parts = (format_measured(*pair, "") for pair in zip(found, errors, strict=True))
    return f"({', '.join(parts)}){unit}"


def format_regions(row: Mapping[str, Any]) -> list[str]:
    """Format the errors of a field in each region of the truth, a line each."""
    lines = []
    for region in row.get("regions", ()):
        (low, high), count = region["reference"], region["values"]
        level = format_value(low) if low == high else f"{format_value(low)} to {format_value(high)}"
        errors = f"median error {region['median_error']:.1%}, worst {region['worst_error']:.1%}"
        lines.append(f"{level} ({count:,} values): {errors}")
    return lines


def format_runs(runs: Sequence[tuple[Sequence[str], Mapping[str, Any] | str]]) -> str:
    """Format the runs of a multirun as a table: the overrides of each with its results, or its error."""
    rows = [("run", "overrides", "loss", "found")]
    common = set.intersection(*(set(overrides) for overrides, _ in runs)) if len(runs) > 1 else set()
    for number, (every, results) in enumerate(runs):
        overrides = [override for override in every if override not in common]
        if isinstance(results, str):
            rows.append((str(number), " ".join(overrides), "failed", results.partition("\n")[0]))
            continue
        found = ", ".join(
            f"{name.rpartition('.')[2]} = {_format_found(row, '')}"
            for name, row in results.get("parameters", {}).items()
        )
        loss = f"{results['loss']['found']:.3e}" if "loss" in results else "-"
        rows.append((str(number), " ".join(overrides), loss, found))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(part.ljust(width) for part, width in zip(row[:3], widths, strict=True)), row[3]])
        for row in rows
    )
