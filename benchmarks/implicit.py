"""Steps of the silicone beam, and an equilibrium and steps of backward Euler on some ten thousand cells.

    python benchmarks/implicit.py [--boxes 30 8 8] [--memory-budget 0]

Float64, one thread (set OPENBLAS_NUM_THREADS=1, too). torch-fem, on the same equilibrium, is optional:
`pip install torch-fem==0.14.0`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import peer_torch_fem
import torch
from forward_mode import beam as silicone_beam
from torch import Tensor

import simlayer as sl
from simlayer.rollout.memory import trim

MODULUS, POISSONS_RATIO, DENSITY, GRAVITY = 1e5, 0.4, 1000.0, 9.81
E = "forces.elastic.material.log_youngs_modulus"


def beam(boxes: tuple[int, int, int]) -> sl.Mesh:
    """A cantilever that sags by a fifth of its length."""
    return sl.box_mesh(cells=boxes, size=(0.3, 0.08, 0.08))


def step(mesh: sl.Mesh, kind: Callable[..., sl.Step], **options: object) -> sl.Step:
    elastic = sl.ElasticForce(mesh, sl.NeoHookean(MODULUS, POISSONS_RATIO))
    gravity = (0.0, 0.0, -GRAVITY)
    return kind(mesh, {"elastic": elastic}, density=DENSITY, gravity=gravity, fixed="x_min", **options)


Outcome = tuple[float, float, Tensor, Tensor]


def equilibrium(mesh: sl.Mesh, solver: sl.LinearSolver, memory_budget: int) -> Callable[[], Outcome]:
    """Seconds forward and backward, displacements, and the gradient of their sum in z by the modulus."""
    rollout = sl.RolloutModule(step(mesh, sl.Equilibrium, solver=solver), 1, memory_budget=memory_budget)
    (parameter,) = rollout.train_only(E)

    def call() -> Outcome:
        parameter.grad = None
        begin = time.perf_counter()
        moved = rollout(sl.State.at_rest(mesh.vertices)).positions - mesh.vertices
        middle = time.perf_counter()
        moved[:, 2].sum().backward()
        end = time.perf_counter()
        assert parameter.grad is not None
        return middle - begin, end - middle, moved.detach(), parameter.grad / MODULUS

    return call


def peer(mesh: sl.Mesh) -> Callable[[], Outcome]:
    """The same by torch-fem, with the same nodal forces."""
    held = torch.zeros(len(mesh.vertices), 3, dtype=torch.bool)
    held[mesh.vertex_sets["x_min"]] = True
    gravity = torch.tensor([0.0, 0.0, -GRAVITY]).expand(len(mesh.vertices), 3)
    weights = step(mesh, sl.Equilibrium).elements.mass_product(torch.tensor(DENSITY), gravity)
    return lambda: peer_torch_fem.solved(mesh.vertices, mesh.cells, held, weights, MODULUS, POISSONS_RATIO)


def compare(mesh: sl.Mesh, runs: int, memory_budget: int) -> None:
    calls = {
        "simlayer, sparse direct": equilibrium(mesh, sl.SparseDirect(), memory_budget),
        "simlayer, conjugate gradients": equilibrium(mesh, sl.ConjugateGradients(), memory_budget),
    }
    if missing := peer_torch_fem.available():
        print(f"  torch-fem left out: {missing}")
    else:
        calls["torch-fem"] = peer(mesh)
    results: dict[str, list[Outcome]] = {name: [] for name in calls}
    for run in range(runs + 1):
        for name, call in calls.items():
            outcome = call()
            if run:  # the first makes what is made once
                results[name].append(outcome)
    _, _, first, slope = results["simlayer, sparse direct"][0]
    print(f"Equilibrium, {len(mesh.cells):,} tet4, {3 * len(mesh.vertices):,} unknowns; medians of {runs}")
    print(f"  {'':<30} {'forward':>10} {'backward':>10}   differences of positions, of the gradient")
    for name, rows in results.items():
        forward, backward = (statistics.median(row[k] for row in rows) for k in (0, 1))
        off = float((rows[0][2] - first).abs().max() / first.abs().max())
        gradient = float((rows[0][3] / slope - 1).abs())
        print(f"  {name:<30} {forward:8.2f} s {backward:8.2f} s   {off:.1e}, {gradient:.1e}")


def newmark(runs: int, steps: int = 20) -> None:
    """Steps of the beam of `experiment=silicone_beam`, and the gradients by its unknowns."""
    observed, parameters = silicone_beam(steps)
    times: list[tuple[float, float]] = []
    for _ in range(runs + 1):
        begin = time.perf_counter()
        points = observed()
        middle = time.perf_counter()
        torch.autograd.grad(points.sum(), list(parameters.values()))
        times.append((middle - begin, time.perf_counter() - middle))
    forward, backward = (1e3 * statistics.median(each) / steps for each in zip(*times[1:], strict=True))
    print(f"Newmark, silicone beam of 90 hex20, {steps} steps of 5 ms; medians of {runs}")
    print(f"  {forward:.1f} ms a step forward, {backward:.1f} ms backward")


def backward_euler(mesh: sl.Mesh, steps: int, memory_budget: int) -> None:
    rollout = sl.RolloutModule(step(mesh, sl.BackwardEuler, dt=5e-3), steps, memory_budget=memory_budget)
    rollout.train_only(E)
    rollout.num_steps = 1
    rollout(sl.State.at_rest(mesh.vertices)).positions.sum().backward()  # whatever is made once
    rollout.num_steps = steps
    trim()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = _resident("VmRSS")
    begin = time.perf_counter()
    end = rollout(sl.State.at_rest(mesh.vertices)).positions
    middle = time.perf_counter()
    end.sum().backward()
    seconds = [1e3 * t / steps for t in (middle - begin, time.perf_counter() - middle)]
    print(f"Backward Euler, {len(mesh.cells):,} tet4, {steps} steps of 5 ms, {rollout.step.solver}")
    print(f"  {seconds[0]:.0f} ms a step forward, {seconds[1]:.0f} ms backward; ", end="")
    print(f"{_resident('VmHWM') - before:.0f} MiB at the peak")


def _resident(what: str) -> float:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(what)) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boxes", type=int, nargs=3, default=[27, 8, 8])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument(
        "--memory-budget", type=int, default=2**30, help="for the factors that forward keeps [bytes]"
    )
    arguments = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    newmark(arguments.runs)
    mesh = beam(tuple(arguments.boxes))
    compare(mesh, arguments.runs, arguments.memory_budget)
    backward_euler(mesh, arguments.steps, arguments.memory_budget)


if __name__ == "__main__":
    main()
