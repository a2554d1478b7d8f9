"""Equilibria and steps of backward Euler of bodies in mesh files, such as animals and gears.

    python benchmarks/bodies.py [--law StableNeoHookean] body.msh ...

Each body, 0.1 m long, is clamped over 8 % of its length at one end and hangs sideways under its weight
(E = 5e4 Pa, nu = 0.45, 1000 kg/m³). Float64, one thread (set OPENBLAS_NUM_THREADS=1, too).
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch

import simlayer as sl

LENGTH, CLAMPED = 0.1, 0.08
MODULUS, POISSONS_RATIO, DENSITY, GRAVITY = 5e4, 0.45, 1000.0, 9.81


def scene(path: str, law: str) -> tuple[sl.Mesh, dict[str, object]]:
    """The body, and what its steps have in common."""
    sides = torch.as_tensor(sl.read_mesh(path).vertices).aminmax(dim=0)
    size = sides.max - sides.min
    mesh = sl.read_mesh(path, scale=LENGTH / float(size.max()))
    axis, x = int(size.argmax()), mesh.vertices
    along = x[:, axis] - x[:, axis].min()
    gravity = [0.0, 0.0, 0.0]
    gravity[(axis + 1) % 3] = -GRAVITY
    elastic = sl.ElasticForce(mesh, getattr(sl, law)(MODULUS, POISSONS_RATIO))
    fixed = along < CLAMPED * LENGTH
    return mesh, {"forces": {"elastic": elastic}, "density": DENSITY, "gravity": gravity, "fixed": fixed}


def seconds_per_step(mesh: sl.Mesh, options: dict[str, object], steps: int) -> float:
    """The median time of a step after release from rest."""
    step = sl.BackwardEuler(mesh, dt=1e-2, **options)
    state, times = sl.State.at_rest(mesh.vertices), []
    for _ in range(steps):
        begin = time.thread_time()
        state = step(state)
        times.append(time.thread_time() - begin)
    return statistics.median(times)


def equilibrium(mesh: sl.Mesh, options: dict[str, object]) -> tuple[float, str]:
    """How long the search for the equilibrium took, and how it ended."""
    step = sl.Equilibrium(mesh, **options)
    start = sl.State.at_rest(mesh.vertices)
    begin = time.thread_time()
    try:
        moved = step(start).positions - mesh.vertices
    except sl.ConvergenceError as error:
        return time.thread_time() - begin, str(error).splitlines()[0]
    return time.thread_time() - begin, f"sags by {1e3 * float(moved.norm(dim=-1).max()):.0f} mm"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bodies", nargs="+", help="mesh files that simlayer.read_mesh reads")
    parser.add_argument("--law", default="StableNeoHookean", help="the material, by its name in simlayer")
    parser.add_argument("--steps", type=int, default=5, help="how many steps are timed")
    arguments = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    print(f"{'body':<16} {'vertices':>9} {'cells':>9} {'step':>9} {'equilibrium':>12} {'ratio':>6}")
    for path in arguments.bodies:
        mesh, options = scene(path, arguments.law)
        step = seconds_per_step(mesh, options, arguments.steps)
        rest, outcome = equilibrium(mesh, options)
        sizes = f"{len(mesh.vertices):>9,} {len(mesh.cells):>9,}"
        print(f"{Path(path).stem:<16} {sizes} {step:>7.2f} s {rest:>10.2f} s {rest / step:>6.1f}", end="")
        print(f"  {outcome}", flush=True)


if __name__ == "__main__":
    main()
