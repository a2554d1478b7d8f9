"""What it takes to identify many small specimens, in one batch and one by one.

Run as `OMP_NUM_THREADS=1 python benchmarks/specimens.py`; `--quick` fits fewer, without compiling.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import simlayer as sl
from simlayer.identification import Vertices, identify, identify_specimens

# So many single fits are timed.
SINGLE = 5
E, NU, DAMPING = "youngs_modulus", "poissons_ratio", "coefficient"
# The range of the true values; the first guess is near the middle.
RANGES = {E: (0.7e5, 1.3e5), NU: (0.35, 0.45), DAMPING: (2.0, 8.0)}
NOISE = 1e-6


@dataclass(frozen=True)
class Trial:
    """A trial that is made with many specimens: how to simulate it, and what is sought."""

    rollout: Callable[[], sl.RolloutModule]
    unknowns: Sequence[str]
    every: int

    def draw(self, count: int) -> tuple[Tensor, dict[str, Any]]:
        """Return what is observed of so many specimens, with noise, and the options of a fit."""
        generator, rollout = torch.Generator().manual_seed(0), self.rollout()
        rollout.compiler = False
        shares = torch.rand(len(self.unknowns), count, 1, generator=generator)
        truth = {
            name: low + (high - low) * share
            for share, name in zip(shares, self.unknowns, strict=True)
            for low, high in [RANGES[name]]
        }
        rest = rollout.step.elements.mesh.vertices
        with torch.no_grad():
            frames = rollout.trajectory(sl.State.at_rest(rest), truth, every=self.every).positions[1:]
        data = frames.movedim(1, 0)
        data = data + NOISE * torch.randn(data.shape, generator=generator)
        times = rollout.step.dt * self.every * torch.arange(1, 1 + data.shape[1])
        return data, {"state": sl.State.at_rest(rest), "observe": Vertices(), "times": times}


def block() -> dict[str, Any]:
    """The silicone block of all trials: 72 tetrahedra, clamped at one face."""
    mesh = sl.box_mesh(cells=(3, 2, 2), size=(0.03, 0.02, 0.02))
    pull = torch.zeros(len(mesh.vertices), 3)
    pull[mesh.vertex_sets["x_max"], 2] = 0.01
    forces = {
        "elastic": sl.ElasticForce(mesh, sl.StableNeoHookean(1e5, 0.4)),
        "pull": sl.NodalLoad(mesh, pull),
    }
    return {"mesh": mesh, "forces": forces, "fixed": "x_min", "gravity": (0, 0, -9.81)}


def ringing(compile: bool) -> sl.RolloutModule:
    """The block released from rest, seen ten times in 20 ms."""
    damping = {"damping": sl.MassDamping(4.0)}
    step = sl.SymplecticEuler(**block(), dt=1e-4, dissipation=damping)
    return sl.RolloutModule(step, 200, compile=compile)


def pulled() -> sl.RolloutModule:
    """The block in equilibrium with the pull."""
    return sl.RolloutModule(sl.Equilibrium(**block()), 1)


COMPILED = {"200 explicit steps, compiled": Trial(lambda: ringing(True), (E, DAMPING), 20)}
QUICK = {"200 explicit steps, eager": Trial(lambda: ringing(False), (E, DAMPING), 20)}
STATICS = {"equilibrium": Trial(pulled, (E, NU), 1)}


def report(name: str, trial: Trial, count: int) -> None:
    """Print the CPU seconds of all fits in one batch, and of one of them alone, once all is compiled."""
    data, options = trial.draw(count)
    batch, alone = trial.rollout(), trial.rollout()

    def fit(function: Callable[..., Any], rollout: sl.RolloutModule, points: Tensor) -> tuple[Any, float]:
        guess = {parameter: parameter.data.clone() for parameter in rollout.step.parameters()}
        begin = time.process_time()
        found = function(rollout, points, trial.unknowns, **options)
        seconds = time.process_time() - begin
        for parameter, value in guess.items():
            parameter.data = value
        return found, seconds

    fit(identify, alone, data[0])
    begin = time.perf_counter()
    fit(identify_specimens, batch, data)
    first = time.perf_counter() - begin
    singles = [fit(identify, alone, data[k]) for k in range(SINGLE)]
    found, seconds = fit(identify_specimens, batch, data)
    difference = max(
        abs(float(table[key][k]) / single - 1)
        for k, (one, _) in enumerate(singles)
        for table, other in ((found.values, one.values), (found.standard_errors, one.standard_errors))
        for key, single in other.items()
    )
    single = statistics.median(own for _, own in singles)
    steps = f"{int(found.steps.min())} to {int(found.steps.max())} steps"
    print(
        f"{name}: {count:,} specimens as one batch {seconds:.2f} s (first {first:.2f} s), {steps}, "
        f"{len(found.errors)} failed; a single fit {single:.3f} s, all {count * single / seconds:.1f} times "
        f"as long; values and errors of {SINGLE} differ from single fits by {difference:.1e} at most",
        flush=True,
    )


def main() -> None:
    torch.set_default_dtype(torch.float64)
    quick = "--quick" in sys.argv
    for name, trial in ((QUICK if quick else COMPILED) | STATICS).items():
        report(name, trial, 50 if quick else 1000)


if __name__ == "__main__":
    main()
