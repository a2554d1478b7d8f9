"""What batches, threads, own materials and compiling cost and gain, on the scene of the speed benchmark.

    python benchmarks/throughput.py

Ratios of one run each, medians of interleaved rounds.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial

import scene
import torch
from torch import Tensor

import simlayer as sl


class OwnNeoHookean(sl.IsotropicMaterial):
    """A user's material: its energy density alone."""

    def energy_density(self, F: sl.Matrix3) -> Tensor:
        mu, lam = 4 / 3 * self.mu, self.lam + 5 / 6 * self.mu
        I_C, J = F.inner(F), F.det()
        shifted = J - 1 - 0.75 * mu / lam
        return 0.5 * (mu * (I_C - 3) + lam * shifted * shifted - mu * torch.log(I_C + 1))


def compare(title: str, calls: dict[str, Callable[[], object]], work: dict[str, float]) -> None:
    """Print the speed of each call and its ratio to the first."""
    print(title)
    times = dict(zip(calls, scene.interleaved(list(calls.values()), warmup=2), strict=True))
    first = next(iter(calls))
    for name, own in times.items():
        ratio = scene.ratio(own, times[first]) * work[name] / work[first]
        speed = work[name] / statistics.median(own) / 1e6
        print(f"  {name:<24} {speed:8.2f} million cell-steps/s   {ratio:5.2f} x {first}")


def batches() -> None:
    vertices = sl.box_mesh(cells=(6,) * 3).vertices
    calls = {
        f"{samples or 1} scene(s)": scene.training_call(
            scene.block(6, compile=True), vertices, samples=samples
        )
        for samples in (0, 16)
    }
    compare("1,296 cells, one thread", calls, {"1 scene(s)": 1296 * 50, "16 scene(s)": 16 * 1296 * 50})


def own_material() -> None:
    vertices = sl.box_mesh(cells=(12,) * 3).vertices
    kinds: dict[str, type[sl.Material]] = {
        "StableNeoHookean": sl.StableNeoHookean,
        "a user's energy": OwnNeoHookean,
        "NeuralHyperelastic": sl.NeuralHyperelastic,  # its weights are fixed
    }
    calls = {
        name: scene.training_call(scene.block(12, material=kind, compile=True), vertices)
        for name, kind in kinds.items()
    }
    compare("10,368 cells, one thread", calls, dict.fromkeys(calls, 10368 * 50.0))


def threads() -> None:
    vertices = sl.box_mesh(cells=(26,) * 3).vertices

    def with_threads(count: int, call: Callable[[], object]) -> object:
        torch.set_num_threads(count)
        return call()

    calls: dict[str, Callable[[], object]] = {}
    for count in (1, 2):
        torch.set_num_threads(count)
        calls[f"{count} thread(s)"] = partial(
            with_threads, count, scene.training_call(scene.block(26, compile=True), vertices)
        )
    compare("105,456 cells; two threads sum deterministically", calls, dict.fromkeys(calls, 105456 * 20.0))
    losses = {float(calls["2 thread(s)"]()) for _ in range(5)}  # type: ignore[arg-type]
    print(f"  two threads, five runs: {len(losses)} different loss(es)")


_PROCESS = """
import sys, time; sys.path.insert(0, {folder!r})
import torch, scene, simlayer as sl
torch.set_num_threads(1)
call = scene.training_call(scene.block(12, compile=True), sl.box_mesh(cells=(12,) * 3).vertices)
begin = time.perf_counter(); call(); first = time.perf_counter() - begin
begin = time.perf_counter(); call(); print(first - (time.perf_counter() - begin))
"""


def compiling() -> None:
    """The first call in a new process, without and with what an earlier process compiled."""
    print("10,368 cells, first call of a new process")
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
        for name in ("nothing cached", "warm cache"):
            command = [sys.executable, "-c", _PROCESS.format(folder=str(scene.FOLDER))]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            print(f"  {name:<24} {float(done.stdout):6.1f} s")


def ordinary_uses() -> None:
    """Sixteen uses of one kind of rollout: gradients or not, four shapes of E, two meshes."""
    print("16 uses of small rollouts: {grad, no grad} x {(), (M,), (B, 1), (B, M)} x 2 meshes")
    begin, uses = time.perf_counter(), 0
    for cells in ((3, 2, 2), (2, 2, 2)):
        mesh = sl.box_mesh(cells=cells)
        elastic = sl.ElasticForce(mesh, sl.StableNeoHookean(1e5, 0.3))
        rollout = sl.RolloutModule(sl.SymplecticEuler(mesh, {"elastic": elastic}, dt=1e-4), 5, compile=True)
        for shape in ((), (len(mesh.cells),), (4, 1), (4, len(mesh.cells))):
            for gradient in (True, False):
                log_E = torch.full(shape, 11.5, requires_grad=gradient)
                final = rollout(sl.State.at_rest(mesh.vertices), {scene.TRAINED[0]: log_E})
                if gradient:
                    final.positions.sum().backward()
                uses += 1
    print(f"  {uses} uses, none failed, {time.perf_counter() - begin:.0f} s in all")


def main() -> None:
    torch.set_num_threads(1)
    batches()
    own_material()
    threads()
    torch.set_num_threads(1)
    compiling()
    ordinary_uses()


if __name__ == "__main__":
    main()
