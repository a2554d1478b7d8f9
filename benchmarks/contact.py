"""What contact with an obstacle adds to a compiled step, on a block of 10,368 cells.

    python benchmarks/contact.py [--boxes 12] [--runs 7]

Forward and backward of 50 steps with gradients to E, nu, kappa, x0 and v0, one thread, float32; medians of
interleaved rounds, and the ratio to the elastic block alone. The block is pressed onto the obstacle.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import contest
import scene
import torch

import simlayer as sl

OBSTACLES: dict[str, Callable[[], sl.Obstacle] | None] = {
    "no contact": None,
    "half-space": lambda: sl.HalfSpace((0.0, 0.0, -0.02)),
    "sphere": lambda: sl.Sphere(5.0, (0.5, 0.5, -5.02)),
}
STIFFNESS = "forces.contact.log_stiffness"


def training_call(boxes: int, name: str) -> contest.Call:
    """A training call of a rollout of the block, before an obstacle or not."""
    torch.set_num_threads(1)
    mesh = sl.box_mesh(cells=(boxes,) * 3)
    forces: dict[str, sl.Force] = {
        "elastic": sl.ElasticForce(mesh, sl.StableNeoHookean(scene.YOUNGS_MODULUS, scene.POISSONS_RATIO))
    }
    build, trained = OBSTACLES[name], list(scene.TRAINED)
    if build is not None:
        forces["contact"] = sl.BarrierContact(mesh, build(), stiffness=1e4, activation_distance=0.05)
        trained.append(STIFFNESS)
    dt, num_steps = scene.SIZES[boxes]
    step = sl.SymplecticEuler(mesh, forces, dt=dt, gravity=(0.0, 0.0, -9.81))
    rollout = sl.RolloutModule(step, num_steps, checkpoint="none", compile=True)
    rollout.train_only(trained)
    return scene.training_call(rollout, mesh.vertices)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boxes", type=int, default=12, choices=list(scene.SIZES), help="along an edge")
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    boxes, num_steps = arguments.boxes, scene.SIZES[arguments.boxes][1]
    builders = {name: partial(training_call, boxes, name) for name in OBSTACLES}
    times = contest.interleaved(builders, runs=arguments.runs)
    print(f"{6 * boxes**3:,} cells, {num_steps} steps, one thread, {arguments.runs} rounds")
    for name, own in times.items():
        step_time = statistics.median(own) / num_steps * 1e6
        added = scene.ratio(times["no contact"], own) - 1
        print(f"  {name:<12} {step_time:8.0f} µs a step   {added:+7.1%} of an elastic step")


if __name__ == "__main__":
    main()
