"""Identify Young's modulus and Poisson's ratio of a soft body from where its vertices end up.

A body is held, pulled and twisted, and let go; a hidden truth says where its vertices are a moment later.
From a first guess three times off, the gradient of the rollout leads back to the truth. Without arguments:
the beam that comes with the package, in well under a minute.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

import simlayer
from simlayer import (
    ElasticForce,
    MassDamping,
    Mesh,
    MeshError,
    RolloutModule,
    SimulationError,
    StableNeoHookean,
    State,
    SymplecticEuler,
    check_gradients,
    read_mesh,
    write_frames,
)
from simlayer.training.excitation import pulled_and_twisted
from simlayer.training.identification import Identification, Trial, assign, identify
from simlayer.training.pictures import body_picture, convergence_picture

SHIPPED = Path(simlayer.__file__).parent / "assets" / "cantilever.msh"
E, NU = "forces.elastic.material.log_youngs_modulus", "forces.elastic.material.logit_poissons_ratio"
LABELS = {E: "youngs_modulus [Pa]", NU: "poissons_ratio"}
TRUTH, GUESS = {E: 1e5, NU: 0.4}, {E: 3e5, NU: 0.3}
DENSITY = 1000.0  # [kg/m³]
PULL, TWIST = 2.0, 8.0  # [m/s], of the far end
ROW = "{}: {initial:.6g} -> {found:.6g} (reference {reference:.6g}, error {relative_error:.3%})"


class Scene(NamedTuple):
    """What is simulated, from which state, and the final positions that the truth leads to."""

    mesh: Mesh
    rollout: RolloutModule
    start: State
    target: torch.Tensor


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run with these command-line arguments, and return what results.json holds."""
    options = parse(argv)
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        return run(options)
    except (MeshError, SimulationError, OSError) as error:
        raise SystemExit(f"train.py: error: {error}") from error
    except KeyboardInterrupt:
        raise SystemExit("train.py: interrupted before there was anything to keep.") from None
    finally:
        torch.set_num_threads(threads)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--mesh", type=Path, default=SHIPPED, help="tetrahedra with a named face [%(default)s]")
    add("--scale", type=float, default=1.0, help="of the file's unit in m: 0.001 for mm [%(default)s]")
    add("--fixed", default="clamped", metavar="TAG", help="name of what to hold, at one end [%(default)s]")
    add("--steps", type=count, help="of time [as many as a wave takes to the far end and back]")
    add("--iterations", type=count, default=30, help="the most simulations of the fit [%(default)s]")
    add("--output", type=Path, default=Path("outputs/identification"), help="folder [%(default)s]")
    add("--dtype", choices=("float64", "float32"), default="float64", help="of the simulation [%(default)s]")
    add("--threads", type=count, default=1, help="of torch; a small mesh is fastest on one [%(default)s]")
    return parser.parse_args(argv)


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> dict[str, Any]:
    began = time.perf_counter()
    if options.output.is_file():
        raise NotADirectoryError(f"--output must name a folder, but {options.output} is a file.")
    options.output.mkdir(parents=True, exist_ok=True)
    scene = build_scene(options)
    rollout, start, target = scene.rollout, scene.start, scene.target
    size = (target - start.positions).square().mean()  # A body that does not move has a loss of 1.

    def loss(end: State) -> torch.Tensor:
        return (end.positions - target).square().mean() / size

    print("\nGradients of the loss at the first guess, against central differences:", flush=True)
    gradients = check_gradients(rollout, start, loss, [E, NU])
    print(gradients)
    if not gradients.passed:
        raise SystemExit("train.py: error: these gradients are wrong, so nothing is fitted with them.")

    print("\nSimulations of the fit:", flush=True)
    fit = identify(rollout, lambda: loss(rollout(start)), [E, NU], limit=options.iterations, report=progress)
    results = summary(scene, fit, seconds=time.perf_counter() - began)
    print(f"\nEnded: {fit.ended}, after {results['seconds']} s.")
    for label, row in results["parameters"].items():
        print(ROW.format(label, **row))
    write(options.output, scene, fit, results)
    return results


def build_scene(options: argparse.Namespace) -> Scene:
    mesh = read_mesh(options.mesh, scale=options.scale)
    if options.fixed not in mesh.vertex_sets:
        tags = ", ".join(map(repr, mesh.vertex_sets)) or "none"
        raise MeshError(f"{options.mesh} has no vertices tagged {options.fixed!r}; its tags: {tags}.")
    held, dtype = mesh.vertex_sets[options.fixed], getattr(torch, options.dtype)
    velocities, length = pulled_and_twisted(mesh, held, pull=PULL, twist=TWIST)
    start = State(mesh.vertices.to(dtype), velocities.to(dtype))
    elastic = ElasticForce(mesh, StableNeoHookean(youngs_modulus=GUESS[E], poissons_ratio=GUESS[NU]))
    forces, dissipation = {"elastic": elastic}, {"air": MassDamping(2.0)}
    step = SymplecticEuler(
        mesh, forces, dt=1.0, density=DENSITY, gravity=(0.0, 0.0, -9.81), fixed=held, dissipation=dissipation
    ).to(dtype)
    # Half the stable time step leaves room for trials that are stiffer than the first guess.
    stable = step.stable_dt(start)
    step.dt = float(f"{stable / 2:.1e}")
    steps = options.steps or math.ceil(2 * length / math.sqrt(GUESS[E] / DENSITY) / step.dt)
    rollout = RolloutModule(step, steps, compile=False)
    announce(options, mesh, rollout, stable)
    with torch.no_grad():
        assign(rollout, TRUTH)
        target = rollout(start).positions
        assign(rollout, GUESS)
    return Scene(mesh, rollout, start, target)


def announce(options: argparse.Namespace, mesh: Mesh, rollout: RolloutModule, stable: float) -> None:
    dt, steps = rollout.step.dt, rollout.num_steps
    print(mesh)
    print(f"Scene:     {options.fixed!r} held, the far end pulled and twisted, let go under gravity")
    print(f"Time:      {steps} steps of {dt:.2g} s (stable: {stable:.2g} s), {dt * steps:.3g} s in all")
    print(f"Computing: cpu, {options.threads} thread(s), {options.dtype}, not compiled")
    print(f"Fit:       from {listed(GUESS)}\n           to {listed(TRUTH)}, hidden from it")
    print(f"Output:    {options.output}", flush=True)


def listed(values: dict[str, float]) -> str:
    return ", ".join(f"{LABELS[name]} = {value:.6g}" for name, value in values.items())


def progress(number: int, trial: Trial) -> None:
    print(f"{number:4}  loss = {trial.loss:.3e}, {listed(trial.values)}", flush=True)


def summary(scene: Scene, fit: Identification, *, seconds: float) -> dict[str, Any]:
    return {
        "parameters": {LABELS[name]: row for name, row in fit.compared(TRUTH).items()},
        "loss": {"initial": fit.trials[0].loss, "found": fit.best.loss},
        "simulations": len(fit.trials),
        "ended": fit.ended,
        "seconds": round(seconds, 1),
        "mesh": scene.mesh.source,
        "dt [s]": scene.rollout.step.dt,
        "steps": scene.rollout.num_steps,
    }


@torch.no_grad()
def write(folder: Path, scene: Scene, fit: Identification, results: dict[str, Any]) -> None:
    mesh, rollout, start, target = scene
    every = math.ceil(rollout.num_steps / 40)
    motion, found = rollout.trajectory(start, every=every), rollout(start).positions
    assign(rollout, GUESS)
    bodies = {"first guess": rollout(start).positions, "found": found}
    body_picture(folder / "found_over_target.png", bodies, target, mesh.boundary)
    values = {label: [trial.values[name] for trial in fit.trials] for name, label in LABELS.items()}
    references = {LABELS[name]: value for name, value in TRUTH.items()}
    convergence_picture(folder / "convergence.png", [trial.loss for trial in fit.trials], values, references)
    times = torch.arange(len(motion.positions)) * every * rollout.step.dt
    write_frames(folder / "motion.pvd", mesh, motion.positions, times=times)
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"Written to {folder}: results.json, found_over_target.png, convergence.png, motion.pvd")


if __name__ == "__main__":
    main()
