"""What the checks of a rollout cost, and the import of the package.

    python benchmarks/checks.py [--boxes 10 3 3] [--steps 100] [--runs 21]

Calls of an eager rollout with `validate` and without, forward alone and with backward, one thread, float32:
medians of interleaved rounds, and the ratio. The imports are those of new processes, without and with the
package, after torch.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable

import scene
import torch

import simlayer as sl

IMPORTED = """
import time, torch
begin = time.perf_counter()
import simlayer
print(time.perf_counter() - begin)
"""


def calls(boxes: tuple[int, int, int], num_steps: int) -> dict[str, list[Callable[[], object]]]:
    """Two calls of each kind: without checks, and with them."""
    mesh = sl.box_mesh(cells=boxes, size=(0.1, 0.03, 0.03))
    forces = {"elastic": sl.ElasticForce(mesh, sl.StableNeoHookean(1e5, 0.3))}
    fixed = mesh.vertices[:, 0] < 1e-9
    step = sl.SymplecticEuler(mesh, forces, dt=1e-4, gravity=(0.0, 0.0, -9.81), fixed=fixed)
    start = sl.State.at_rest(mesh.vertices)
    found: dict[str, list[Callable[[], object]]] = {"forward": [], "forward and backward": []}
    for validate in (False, True):
        rollout = sl.RolloutModule(step, num_steps, compile=False, checkpoint="none", validate=validate)
        rollout.train_only(scene.TRAINED)

        def forward(rollout: sl.RolloutModule = rollout) -> object:
            with torch.no_grad():
                return rollout(start)

        def both(rollout: sl.RolloutModule = rollout) -> object:
            return rollout(start).positions.square().sum().backward()

        for kind, call in zip(found.values(), (forward, both), strict=True):
            kind.append(call)
    return found


def import_time() -> float:
    """Return how long a new process takes to import the package after torch [s]."""
    return float(subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boxes", type=int, nargs=3, default=[10, 3, 3])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--runs", type=int, default=21)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    x, y, z = arguments.boxes
    print(f"{6 * x * y * z:,} cells, {arguments.steps} steps, one thread, {arguments.runs} rounds")
    for name, (plain, checked) in calls((x, y, z), arguments.steps).items():
        without, with_checks = scene.interleaved([plain, checked], runs=arguments.runs)
        added = scene.ratio(without, with_checks) - 1
        print(f"  {name:<22} {statistics.median(without) * 1e3:8.1f} ms   checks add {added:+6.1%}")
    print(f"  import after torch     {statistics.median(import_time() for _ in range(5)) * 1e3:8.1f} ms")


if __name__ == "__main__":
    main()
