"""What the order of a mesh file costs: a compiled step on cells in a good order, and on scattered ones.

    python benchmarks/locality.py [--boxes 26] [--runs 7]

Forward and backward with gradients to E, nu, x0 and v0, one thread, float32; medians of interleaved rounds,
and the ratio to the good order. Vertices and cells are scattered at random, the worst that a file can
do. On large meshes a compiled force then goes through them in an order of its own; "as they are" is without.
"""

from __future__ import annotations

import argparse
import statistics
from functools import partial

import contest
import scene
import torch

import simlayer as sl

ORDERS = ("good", "scattered", "scattered, as they are")


def scattered(mesh: sl.Mesh) -> sl.Mesh:
    """The same body with its vertices and cells in a random order."""
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randperm(len(mesh.vertices), generator=generator)
    cells = torch.randperm(len(mesh.cells), generator=generator)
    places = torch.empty_like(vertices).scatter_(0, vertices, torch.arange(len(vertices)))
    return sl.Mesh(mesh.vertices[vertices], places[mesh.cells[cells]])


def training_call(boxes: int, order: str) -> contest.Call:
    """A training call of a rollout of the block, in one of the orders."""
    torch.set_num_threads(1)
    mesh = sl.box_mesh(cells=(boxes,) * 3)
    if order != "good":
        mesh = scattered(mesh)
    elastic = sl.ElasticForce(mesh, sl.StableNeoHookean(scene.YOUNGS_MODULUS, scene.POISSONS_RATIO))
    if order == "scattered, as they are":
        elastic.elements.local = None
    dt, num_steps = scene.SIZES[boxes]
    step = sl.SymplecticEuler(mesh, {"elastic": elastic}, dt=dt, fixed=mesh.vertices[:, 0] < 1e-9)
    rollout = sl.RolloutModule(step, num_steps, checkpoint="none", compile=True)
    rollout.train_only(scene.TRAINED)
    return scene.training_call(rollout, mesh.vertices)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boxes", type=int, default=26, choices=list(scene.SIZES), help="along an edge")
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    boxes, num_steps = arguments.boxes, scene.SIZES[arguments.boxes][1]
    times = contest.interleaved(
        {order: partial(training_call, boxes, order) for order in ORDERS}, runs=arguments.runs
    )
    print(f"{6 * boxes**3:,} cells, {num_steps} steps, one thread, {arguments.runs} rounds")
    for order, own in times.items():
        step_time = statistics.median(own) / num_steps * 1e3
        print(f"  {order:<24} {step_time:8.2f} ms a step   {1 / scene.ratio(times['good'], own):5.2f} x")


if __name__ == "__main__":
    main()
