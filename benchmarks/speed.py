"""Forward and backward speed of one scene, simlayer next to its peers, in one run.

    python benchmarks/speed.py [--sizes 6 12 26] [--threads 1]

Prints million cell-steps a second (medians of interleaved runs) and ratios. torch-diffsim and Warp are
optional: `pip install torch-diffsim==0.2.0 warp-lang==1.19.0`.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import peer_torch_diffsim
import peer_warp
import scene
import torch


def contestants(boxes: int) -> dict[str, Callable[[], object]]:
    """One training call of each, by name."""
    rollout = scene.block(boxes, compile=True)
    eager = scene.block(boxes, compile=False)
    mesh = scene.sl.box_mesh(cells=(boxes,) * 3)
    calls: dict[str, Callable[[], object]] = {
        "simlayer": scene.training_call(rollout, mesh.vertices),
        "simlayer eager": scene.training_call(eager, mesh.vertices),
    }
    dt, num_steps = scene.SIZES[boxes]
    held = (mesh.vertices[:, 0] < 1e-9).numpy()
    for name, peer in (("torch-diffsim", peer_torch_diffsim), ("Warp", peer_warp)):
        if missing := peer.available():
            print(f"  {name} left out: {missing}")
            continue
        arrays = mesh.vertices.numpy(), mesh.cells.numpy(), held
        calls[name] = peer.build(*arrays, dt=dt, num_steps=num_steps)
    return calls


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=list(scene.SIZES), help="boxes along an edge")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for boxes in arguments.sizes:
        cells, num_steps = 6 * boxes**3, scene.SIZES[boxes][1]
        print(f"{cells:,} cells, {num_steps} steps, {arguments.threads} thread(s), {arguments.runs} runs")
        calls = contestants(boxes)
        times = dict(
            zip(calls, scene.interleaved(list(calls.values()), runs=arguments.runs, warmup=2), strict=True)
        )
        for name, own in times.items():
            speed = cells * num_steps / statistics.median(own) / 1e6
            faster = f"simlayer is {scene.ratio(times['simlayer'], own):5.2f} times as fast"
            print(f"  {name:<15} {speed:8.2f} million cell-steps/s   {faster if name != 'simlayer' else ''}")


if __name__ == "__main__":
    main()
