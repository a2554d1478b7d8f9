"""Peak memory of a rollout and its backward pass, with and without checkpointing.

    python benchmarks/memory.py [--boxes 12] [--compile]

Each figure is the peak resident set of a child process, less that of one that only builds the scene.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

import scene

_PROCESS = """
import resource, sys; sys.path.insert(0, {folder!r})
import torch, scene, simlayer as sl
torch.set_num_threads(1)
mesh = sl.box_mesh(cells=({boxes},) * 3)
rollout = scene.block({boxes}, checkpoint={checkpoint!r}, compile={compile!r})
rollout.num_steps = 1
if {compile!r}: scene.training_call(rollout, mesh.vertices)()
rollout.num_steps = max({steps}, 1)
if {steps}: scene.training_call(rollout, mesh.vertices)()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def peak(boxes: int, checkpoint: str, steps: int, compiled: bool) -> float:
    """Peak resident set [MiB] of a process that trains for one iteration of so many steps; 0: none."""
    source = _PROCESS.format(
        folder=str(scene.FOLDER), boxes=boxes, checkpoint=checkpoint, steps=steps, compile=compiled
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boxes", type=int, default=12)
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    base = peak(arguments.boxes, "sqrt", 0, arguments.compile)
    mode = "compiled" if arguments.compile else "eager"
    print(f"{6 * arguments.boxes**3:,} cells, {mode}, above {base:.0f} MiB")
    measured = {}
    for checkpoint, steps in (("sqrt", 100), ("sqrt", 2500), ("sqrt", 400), ("none", 400)):
        measured[checkpoint, steps] = peak(arguments.boxes, checkpoint, steps, arguments.compile) - base
        print(f"  checkpoint={checkpoint!r:<7} {steps:>5} steps {measured[checkpoint, steps]:8.1f} MiB")
    print(
        f"  2,500 steps over 100: {measured['sqrt', 2500] / measured['sqrt', 100]:.2f} (linear would be 25)"
    )
    print(f"  'sqrt' over 'none' at 400: {measured['sqrt', 400] / measured['none', 400]:.3f}")


if __name__ == "__main__":
    main()
