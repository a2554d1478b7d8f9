"""What a policy of two layers of 64 units costs in a rollout: time and memory.

    python benchmarks/policy.py

Compiled steps, float32, one thread; forward and backward through the weights of the policy.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable

import scene
import torch
from torch import Tensor, nn

import simlayer as sl

BOXES = 6


class Push(sl.Policy):
    """Sets gravity by the positions and velocities of a corner and a goal."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(9, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 3)
        )

    def forward(self, state: sl.State, goal: Tensor) -> dict[str, Tensor]:
        seen = [state.positions[..., -1, :], state.velocities[..., -1, :], goal]
        return {"gravity": 10 * self.network(torch.cat(seen, -1)).tanh()}


def call(num_steps: int, samples: int, *, with_policy: bool, **options: object) -> Callable[[], None]:
    rollout = scene.block(BOXES, compile=True, **options)
    rollout.num_steps = num_steps
    start = sl.State.at_rest(sl.box_mesh(cells=(BOXES,) * 3).vertices.expand(samples, -1, -1))
    goal = torch.linspace(0, 1, 3 * samples).view(samples, 3)
    if with_policy:
        rollout.policy = Push()
        rollout.train_only()

    def run() -> None:
        end = rollout(start, policy_inputs=(goal,)) if with_policy else rollout(start)
        end.positions.sum().backward()

    return run


def peak(num_steps: int, with_policy: bool) -> float:
    """Return by how much a process grows at its peak [MiB], after a short rollout."""
    source = f"import policy; policy.print_peak({num_steps}, {with_policy})"
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=scene.FOLDER, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def print_peak(num_steps: int, with_policy: bool) -> None:
    from simlayer.rollout.memory import trim

    torch.set_num_threads(1)
    call(100, 1, with_policy=with_policy, checkpoint="sqrt")()
    trim()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts again from here
    before = _resident("VmRSS")
    call(num_steps, 1, with_policy=with_policy, checkpoint="sqrt")()
    print(_resident("VmHWM") - before)


def _resident(what: str) -> float:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(what)) / 1024


def main() -> None:
    torch.set_num_threads(1)
    calls = [call(50, 1, with_policy=False), call(50, 1, with_policy=True)]
    calls += [call(50, 16, with_policy=False), call(50, 16, with_policy=True)]
    bare, alone, batch, together = scene.interleaved(calls, warmup=2)
    print(f"{6 * BOXES**3:,} cells, 50 steps, asked at every step; medians")
    for name, own, without in (("1 scene", alone, bare), ("16 scenes", together, batch)):
        first, second = statistics.median(own), statistics.median(without)
        print(f"  {name:<10} {1e3 * first:7.1f} ms, {1e3 * second:7.1f} ms without a policy")
    print(f"  16 scenes together: {16 * scene.ratio(together, alone):.1f} times one after another")
    for steps in (1000, 5000):
        print(f"  {steps} steps: {peak(steps, True):.0f} MiB, {peak(steps, False):.0f} MiB without a policy")


if __name__ == "__main__":
    main()
