"""What derivatives in forward mode cost, next to the rollout alone and to reverse mode.

Run as `OMP_NUM_THREADS=1 python benchmarks/forward_mode.py`; `--quick` leaves out the compiled block.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping

import torch
from scene import FOLDER, block, interleaved, start
from torch import Tensor

import simlayer as sl
from simlayer.identification import Markers, ObservedRollout

MODULI = ("youngs_modulus", "poissons_ratio")


def beam(num_steps: int = 20) -> tuple[Callable[[], Tensor], Mapping[str, Tensor]]:
    """The silicone beam of `experiment=silicone_beam`, seen at three points of its tip, and its unknowns."""
    mesh = sl.box_mesh(cells=(10, 3, 3), size=(0.1, 0.03, 0.03), origin=(-0.1, 0.0, 0.0), element="hex20")
    forces = {
        "elastic": sl.ElasticForce(mesh, sl.StableNeoHookean(2.8e5, 0.499), quadrature="reduced"),
        "viscosity": sl.KelvinVoigt(mesh, shear_viscosity=100.0, quadrature="reduced"),
    }
    gravity = (0.0, 0.0, -9.80709)
    step = sl.Newmark(mesh, forces, dt=5e-3, density=1070.0, gravity=gravity, fixed=mesh.vertex_sets["x_min"])
    markers = Markers(mesh, torch.tensor([[0.0, 0.015, 0.03], [0.0, 0.0, 0.024], [0.0, 0.03, 0.006]]))
    times = torch.arange(0.02, num_steps * step.dt - 0.01, 0.01)
    observed = ObservedRollout(sl.RolloutModule(step, num_steps), markers, times, release_time=0.005)
    unknowns = observed.quantities_by_name()
    names = ("forces.elastic.material.youngs_modulus", "forces.viscosity.shear_viscosity", "release_time")
    state = sl.State.at_rest(mesh.vertices)
    return lambda: observed(state), {name: unknowns[name].parameter.requires_grad_() for name in names}


def stiff_block(num_steps: int = 50, *, compile: bool) -> tuple[Callable[[], Tensor], Mapping[str, Tensor]]:
    """The final positions of the block of `speed.py` as a function, and its moduli."""
    rollout = block(12, compile=compile)
    rollout.num_steps = num_steps
    state = sl.State.at_rest(start(rollout.step.elements.mesh.vertices))
    return lambda: rollout(state).positions, dict(zip(MODULI, rollout.train_only(MODULI), strict=True))


def report(name: str, function: Callable[[], Tensor], parameters: Mapping[str, Tensor], runs: int) -> None:
    """Print the seconds of a rollout, of its Jacobian, and of one gradient by reverse mode."""

    def forward() -> None:
        with torch.no_grad():
            function()

    def gradient() -> None:
        torch.autograd.grad(function().sum(), list(parameters.values()))

    calls = (forward, lambda: sl.parameter_jacobian(function, parameters), gradient)
    times = [statistics.median(each) for each in interleaved(calls, runs=runs)]
    ratios = ", ".join(f"{seconds:.3f} s ({seconds / times[0]:.2f})" for seconds in times)
    print(f"{name}, {len(parameters)} parameters: forward, jacobian, one gradient: {ratios}", flush=True)


def peak(num_steps: int) -> float:
    """Return how much memory the Jacobian of a rollout of an uncompiled block takes at most [MiB]."""
    code = (
        "import resource, sys; sys.path.insert(0, sys.argv[2]); from forward_mode import *; "
        "function, parameters = stiff_block(2, compile=False); sl.parameter_jacobian(function, parameters); "
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        "function, parameters = stiff_block(int(sys.argv[1]), compile=False); "
        "sl.parameter_jacobian(function, parameters); "
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)"
    )
    command = [sys.executable, "-c", code, str(num_steps), str(FOLDER)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    torch.set_default_dtype(torch.float64)
    report("silicone beam, 20 steps of Newmark", *beam(), runs=5)
    torch.set_default_dtype(torch.float32)
    report("10,368 cells, 50 explicit steps, eager", *stiff_block(compile=False), runs=3)
    if "--quick" not in sys.argv:
        report("10,368 cells, 50 explicit steps, compiled", *stiff_block(compile=True), runs=15)
    print(f"memory of the Jacobian: {peak(100):.1f} MiB at 100 steps, {peak(1000):.1f} MiB at 1,000")


if __name__ == "__main__":
    main()
