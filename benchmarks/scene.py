"""The scene of the speed benchmarks: a clamped block with every option of the explicit step present."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

import simlayer as sl

FOLDER = Path(__file__).parent

# Boxes along an edge -> time step [s] and number of steps. Six tetrahedra a box.
SIZES = {6: (1e-4, 50), 12: (1e-4, 50), 26: (5e-5, 20)}
YOUNGS_MODULUS, POISSONS_RATIO = 1e5, 0.3
TRAINED = ("forces.elastic.material.log_youngs_modulus", "forces.elastic.material.logit_poissons_ratio")


def block(
    boxes: int, *, material: type[sl.Material] = sl.StableNeoHookean, **options: object
) -> sl.RolloutModule:
    """A rollout of a block of one cubic metre, held at x = 0, gradients on for E and nu."""
    dt, num_steps = SIZES[boxes]
    mesh = sl.box_mesh(cells=(boxes,) * 3)
    elastic = sl.ElasticForce(mesh, material(YOUNGS_MODULUS, POISSONS_RATIO))  # type: ignore[call-arg]
    step = sl.SymplecticEuler(
        mesh,
        {"elastic": elastic, "load": sl.NodalLoad(mesh, torch.zeros(len(mesh.vertices), 3))},
        dt=dt,
        density=torch.full((len(mesh.cells),), 1000.0),
        gravity=(0.0, 0.0, -9.81),
        fixed=mesh.vertices[:, 0] < 1e-9,
        dissipation={"damping": sl.MassDamping(1e-6), "clamp": sl.SmoothVelocityClamp(1e3)},
    )
    rollout = sl.RolloutModule(step, num_steps, **{"checkpoint": "none", "validate": True, **options})  # type: ignore[arg-type]
    rollout.train_only(TRAINED)
    return rollout


def start(vertices: Tensor) -> Tensor:
    """A smooth perturbation of the rest shape, the same for all peers."""
    return vertices + 0.01 * torch.sin(torch.pi * vertices[:, [1, 2, 0]])


def training_call(
    rollout: sl.RolloutModule, mesh_vertices: Tensor, *, samples: int = 0
) -> Callable[[], Tensor]:
    """One forward and backward with gradients to E, nu, x0 and v0; `samples` scenes with an E each."""
    positions = start(mesh_vertices).requires_grad_()
    velocities = torch.zeros_like(mesh_vertices).requires_grad_()
    own = rollout.step.get_parameter(TRAINED[0]).detach()
    supplied = (
        {TRAINED[0]: (own + torch.linspace(-0.1, 0.1, samples)[:, None]).requires_grad_()} if samples else {}
    )

    def call() -> Tensor:
        final = rollout(sl.State(positions, velocities), supplied)
        loss = (final.positions - mesh_vertices).square().sum(-1).mean()
        loss.backward()
        return loss.detach()

    return call


def interleaved(
    calls: Sequence[Callable[[], object]], *, runs: int = 7, warmup: int = 1
) -> list[list[float]]:
    """Seconds of each call in each round; rounds are interleaved so that a noisy machine hits all alike."""
    for _ in range(warmup):
        for call in calls:
            call()
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(runs):
        for call, own in zip(calls, times, strict=True):
            begin = time.perf_counter()
            call()
            own.append(time.perf_counter() - begin)
    return times


def ratio(a: Sequence[float], b: Sequence[float]) -> float:
    """The median over rounds of b/a: how many times faster a is."""
    return statistics.median(y / x for x, y in zip(a, b, strict=True))
