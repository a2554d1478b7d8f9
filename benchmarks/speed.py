"""Forward and backward speed of one scene, simlayer next to its peers, in one run.

    python benchmarks/speed.py [--sizes 6 12 26] [--threads 1]

Prints million cell-steps a second (medians of interleaved rounds) and ratios. torch-diffsim and Warp are
optional: `pip install torch-diffsim==0.2.0 warp-lang==1.19.0`.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import contest
import peer_torch_diffsim
import peer_warp
import scene
import torch

PEERS = {
    "torch-diffsim": (peer_torch_diffsim, {}),
    "Warp, launches": (peer_warp, {"graph": False}),
    "Warp, CPU graph": (peer_warp, {"graph": True}),
}


def simlayer(boxes: int, threads: int, compile: bool) -> contest.Call:
    """A training call of a rollout."""
    torch.set_num_threads(threads)
    rollout = scene.block(boxes, compile=compile)
    return scene.training_call(rollout, scene.sl.box_mesh(cells=(boxes,) * 3).vertices)


def peer(boxes: int, threads: int, name: str) -> contest.Call:
    """The same of a peer."""
    torch.set_num_threads(threads)
    mesh = scene.sl.box_mesh(cells=(boxes,) * 3)
    dt, num_steps = scene.SIZES[boxes]
    held = (mesh.vertices[:, 0] < 1e-9).numpy()
    module, options = PEERS[name]
    return module.build(
        mesh.vertices.numpy(), mesh.cells.numpy(), held, dt=dt, num_steps=num_steps, **options
    )


def contestants(boxes: int, threads: int) -> dict[str, Callable[[], contest.Call]]:
    """What builds a training call of each, by name."""
    builders: dict[str, Callable[[], contest.Call]] = {
        "simlayer": partial(simlayer, boxes, threads, True),
        "simlayer, eager": partial(simlayer, boxes, threads, False),
    }
    for name, (module, _) in PEERS.items():
        if missing := module.available():
            print(f"  {name} left out: {missing}")
        else:
            builders[name] = partial(peer, boxes, threads, name)
    return builders


def report(boxes: int, threads: int, runs: int) -> None:
    """Print the speed of each, and how much faster simlayer is, compiled and eager."""
    cells, num_steps = 6 * boxes**3, scene.SIZES[boxes][1]
    print(f"{cells:,} cells, {num_steps} steps, {threads} thread(s), {runs} rounds; simlayer's lead")
    print(f"  {'':<16} {'million cell-steps/s':>20} {'compiled':>10} {'eager':>8}", flush=True)
    times = contest.interleaved(contestants(boxes, threads), runs=runs)
    for name, own in times.items():
        speed = cells * num_steps / statistics.median(own) / 1e6
        compiled, eager = (scene.ratio(times[ours], own) for ours in ("simlayer", "simlayer, eager"))
        print(f"  {name:<16} {speed:>20.2f} {compiled:>8.2f} x {eager:>6.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=list(scene.SIZES), help="boxes along an edge")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    for boxes in arguments.sizes:
        report(boxes, arguments.threads, arguments.runs)


if __name__ == "__main__":
    main()
