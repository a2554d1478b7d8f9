"""Linear systems of equilibria, of ten to a hundred thousand unknowns, by factors and by iterations.

    python benchmarks/linear_solvers.py [body.msh ...]

Each matrix is the Hessian at the equilibrium of a clamped body that hangs under its weight (NeoHookean,
nu = 0.4), the right-hand side the weights; iterations end at a relative residual of 1e-8. Bodies of files
are clamped and loaded as in `bodies.py`. Float64, one thread (set OMP_NUM_THREADS, OPENBLAS_NUM_THREADS and
MKL_NUM_THREADS to 1). Each solver has a forked process, whose growth is its memory (Linux only). The peers
are optional: `pip install pyamg==5.4.1 pypardiso==0.4.7`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bodies
import numpy as np
import peer_solvers
import torch

import simlayer as sl
from simlayer.rollout.memory import trim
from simlayer.solvers.block_matrix import BlockMatrix
from simlayer.solvers.conjugate_gradients import conjugate_gradients
from simlayer.solvers.fronts import FrontTree
from simlayer.solvers.rigid_body_modes import rigid_motions

MODULUS, POISSONS_RATIO, DENSITY, GRAVITY = 1e5, 0.4, 1000.0, 9.81
TOLERANCE = 1e-8
# Cells along the sides of a block and of a beam, eight times as long as it is thick, by element.
BLOCKS = {"tet4": [15, 22, 32], "hex20": [9, 14, 20]}
BEAMS = {"tet4": [7, 11, 16], "hex20": [4, 6, 9]}
# Fill-in of minimum degree orderings grows out of bounds [unknowns].
LARGEST_LU = 45_000

Solve = Callable[[np.ndarray], tuple[np.ndarray, int]]


class System:
    """One linear system, of the vertices that are free."""

    def __init__(self, name: str, mesh: sl.Mesh, options: dict[str, Any]) -> None:
        step = sl.Equilibrium(mesh, solver=sl.SparseDirect(), **options)
        start = sl.State.at_rest(mesh.vertices)
        with torch.no_grad():
            end = step(start)
            problem = step.problem(step._data(end))
            self.matrix: BlockMatrix = problem.tangent(end.positions, projected=False).matrix
            self.right = (step.free * problem.loads)[None]
        self.free = self.matrix.pattern.free.flatten().numpy()
        self.motions = rigid_motions(end.positions).flatten(1).T.numpy()[self.free]
        self.name, self.unknowns = name, int(self.free.sum())
        self.sparse = self.matrix.to_scipy(0).tocsr()[self.free][:, self.free]

    def error(self, found: np.ndarray) -> float:
        """The residual relative to the right-hand side."""
        right = self.right.flatten().numpy()[self.free]
        return float(np.linalg.norm(right - self.sparse @ found) / np.linalg.norm(right))


def systems(files: list[str], sizes: int) -> Iterator[System]:
    gravity = (0.0, 0.0, -GRAVITY)
    for kind, sides, cells in (("block", (0.1, 0.1, 0.1), BLOCKS), ("beam", (0.4, 0.05, 0.05), BEAMS)):
        for element, counts in cells.items():
            for n in counts[:sizes]:
                boxes = (n, n, n) if kind == "block" else (8 * n, n, n)
                mesh = sl.box_mesh(cells=boxes, size=sides, element=element)
                quadrature: Any = "reduced" if element == "hex20" else "full"
                law = sl.NeoHookean(MODULUS, POISSONS_RATIO)
                elastic = sl.ElasticForce(mesh, law, quadrature=quadrature)
                options = {"forces": {"elastic": elastic}, "density": DENSITY, "fixed": "x_min"}
                yield System(f"{kind}, {element}", mesh, options | {"gravity": gravity})
    for path in files:
        mesh, options = bodies.scene(path, "StableNeoHookean")
        yield System(f"{Path(path).stem}, tet4", mesh, options)


def ours(system: System, solver: sl.LinearSolver) -> Solve:
    """The solution by one of our solvers."""
    inverse, multiply = solver.inverse(system.matrix), system.matrix.multiplication()

    def solve(_: np.ndarray) -> tuple[np.ndarray, int]:
        if inverse.exact:
            return inverse(system.right).flatten().numpy()[system.free], 0
        found = conjugate_gradients(
            multiply, system.right, inverse, tolerance=TOLERANCE, max_iterations=10_000
        )
        return found.vectors.flatten().numpy()[system.free], found.iterations

    return solve


def contestants(system: System) -> dict[str, Callable[[], Solve]]:
    found: dict[str, Callable[[], Solve]] = {
        "simlayer, SparseDirect": lambda: ours(system, sl.SparseDirect()),
        "simlayer, ConjugateGradients": lambda: ours(system, sl.ConjugateGradients()),
    }
    if system.unknowns <= LARGEST_LU:
        found["SciPy, SuperLU"] = lambda: peer_solvers.superlu(system.sparse)
    absent = peer_solvers.missing()
    if "PARDISO" not in absent:
        found["MKL, PARDISO"] = lambda: peer_solvers.pardiso(system.sparse)
    if "pyamg" not in absent:
        for smooth in ("jacobi", "energy"):
            found[f"pyamg, {smooth}"] = lambda smooth=smooth: peer_solvers.multigrid(  # type: ignore[misc]
                system.sparse, system.motions, TOLERANCE, smooth
            )
    return found


def measure(system: System, make: Callable[[], Solve], results: Any) -> None:
    """Send the seconds of making and of solving, the memory [MiB], the iterations and the error."""
    right = system.right.flatten().numpy()[system.free]
    trim()
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    begin = time.thread_time()
    solve = make()
    middle = time.thread_time()
    found, iterations = solve(right)
    end = time.thread_time()
    results.send((middle - begin, end - middle, _resident("VmHWM") - before, iterations, system.error(found)))


def _resident(what: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def report(system: System, limit: float) -> None:
    begin = time.thread_time()
    FrontTree(system.matrix.pattern)
    analysis = time.thread_time() - begin
    print(f"{system.name}, {system.unknowns:,} unknowns, {system.sparse.nnz:,} entries; ", end="")
    print(f"SparseDirect analyses the pattern in {analysis:.2f} s, once", flush=True)
    fork = multiprocessing.get_context("fork")
    for name, make in contestants(system).items():
        receive, send = fork.Pipe(duplex=False)
        process = fork.Process(target=measure, args=(system, make, send))
        process.start()
        send.close()
        try:
            row = receive.recv() if receive.poll(limit) else None
        except EOFError:
            row = None
        process.terminate()
        process.join()
        if row is None:
            print(f"  {name:<30} failed, or took more than {limit:.0f} s", flush=True)
            continue
        setup, solution, memory, iterations, error = row
        print(f"  {name:<30} {setup:8.2f} s + {solution:7.2f} s {memory:8.0f} MiB", end="")
        print(f" {iterations:6d} iterations, residual {error:.0e}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bodies", nargs="*", help="mesh files that simlayer.read_mesh reads")
    parser.add_argument(
        "--sizes", type=int, default=3, help="how many of the three sizes, the smallest first"
    )
    parser.add_argument("--limit", type=float, default=300.0, help="seconds after which a solver is left out")
    arguments = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    for name, remedy in peer_solvers.missing().items():
        print(f"{name} left out: {remedy}")
    for system in systems(arguments.bodies, arguments.sizes):
        report(system, arguments.limit)


if __name__ == "__main__":
    main()
