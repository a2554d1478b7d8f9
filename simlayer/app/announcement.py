"""What a fit will do, and what it assumes, in words."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from omegaconf import DictConfig

from simlayer.app.problem import FitProblem
from simlayer.identification.unknowns import format_unknown, format_value


def format_description(parts: Iterable[tuple[str, str]]) -> str:
    """Format texts with a label each; further lines of a text stand below its first one."""
    return "\n".join(f"{label + ':':<10} {text}".replace("\n", "\n" + 11 * " ") for label, text in parts)


def describe_fit(
    config: DictConfig, problem: FitProblem, *, given: Collection[str] = ()
) -> list[tuple[str, str]]:
    """Return what a fit will do: texts with a label each.

    Args:
        config: the composed configuration.
        problem: the fit.
        given: the keys that the user has set; where observations come from a file, what is assumed of the
            body without being set is among the texts.
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
    fixed = int(scene.fixed.any(1).sum())
    scenes = len(scene.start.positions)
    assumed = ", ".join(_assumed(config, problem, given)) or "nothing"
    return [
        ("Body", str(scene.mesh)),
        ("Scenes", f"{scenes}, {fixed} fixed vertices, initial speeds up to {speed:.3g} m/s"),
        ("Time", f"{count} steps of {step.dt:.2g} s ({limit}), {count * step.dt:.3g} s in total"),
        *(("Observed", take.data.description()) for take in problem.takes.values()),
        *([] if problem.data.path is None else [("Assumed", assumed)]),
        (
            "Computing",
            f"{config.trainer.accelerator}, {config.threads} thread(s), {config.dtype}, {compiled}",
        ),
        ("Fit", f"starts at {unknowns}"),
    ]


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
    """Return the releases that were assumed, in words: those of takes for which the user has set none."""
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
