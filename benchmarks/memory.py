"""Peak memory of a rollout and its backward pass, with and without checkpointing.

    python benchmarks/memory.py [--boxes 12] [--compile]

Each figure is what the resident set of a child process grows by at its peak, in a training iteration after a
short one. Linux only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

import scene

_PROCESS = """
import sys; sys.path.insert(0, {folder!r})
import torch, scene, simlayer as sl
from simlayer.rollout.memory import trim

def resident(what):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024

torch.set_num_threads(1)
mesh = sl.box_mesh(cells=({boxes},) * 3)
rollout = scene.block({boxes}, checkpoint={checkpoint!r}, compile={compile!r})
rollout.num_steps = 1
scene.training_call(rollout, mesh.vertices)()  # whatever is made once
rollout.num_steps = {steps}
call = scene.training_call(rollout, mesh.vertices)
trim()
open("/proc/self/clear_refs", "w").write("5")  # the peak starts again from here
before = resident("VmRSS")
call()
print(resident("VmHWM") - before)
"""


def peak(boxes: int, checkpoint: str, steps: int, compiled: bool) -> float:
    """How much a process grows [MiB], at its peak, in one iteration of training with so many steps."""
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
    mode = "compiled" if arguments.compile else "eager"
    print(f"{6 * arguments.boxes**3:,} cells, {mode}")
    measured = {}
    for checkpoint, steps in (("sqrt", 100), ("sqrt", 2500), ("sqrt", 400), ("none", 400)):
        measured[checkpoint, steps] = peak(arguments.boxes, checkpoint, steps, arguments.compile)
        print(f"  checkpoint={checkpoint!r:<7} {steps:>5} steps {measured[checkpoint, steps]:8.1f} MiB")
    print(
        f"  2,500 steps over 100: {measured['sqrt', 2500] / measured['sqrt', 100]:.2f} (linear would be 25)"
    )
    print(f"  'sqrt' over 'none' at 400: {measured['sqrt', 400] / measured['none', 400]:.3f}")


if __name__ == "__main__":
    main()
