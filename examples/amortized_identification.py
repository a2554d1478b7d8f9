"""Identification in one pass: a network reads a short recording and says how stiff and how damped a body is.

It learns from beams that are simulated with moduli and damping drawn from a range, clamped at one end and
thrown at the other, recorded by markers with noise. Of a beam that it has never seen it predicts both, and
how sure it is; three steps of Gauss-Newton from there end where a fit from the middle of the range does.

Run it by: python examples/amortized_identification.py
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Trainer, seed_everything
from torch import Tensor

from simlayer import (
    ElasticForce,
    MassDamping,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
)
from simlayer.identification import (
    AmortizedIdentification,
    IdentifiedSpecimens,
    Markers,
    ObservedRollout,
    identify_specimens,
)

E, DAMPING = "forces.elastic.material.youngs_modulus", "dissipation.damping.coefficient"
PRIOR = {E: (3e4, 3e5), DAMPING: (1.0, 20.0)}  # [Pa], [1/s]
NOISE = 3e-4  # of every coordinate of a marker [m]; tips move by 50 mm
FRAMES = 30


class Numbers(NamedTuple):
    """What is measured on beams that the network has never seen.

    Attributes:
        errors: the median relative error of E: predicted, after three steps more, fitted from the middle.
        durations: what each of these takes per beam [s].
        coverage: the share of values within one and two predicted standard deviations; ideally 68 % and 95 %.
    """

    errors: list[float]
    durations: list[float]
    coverage: tuple[float, float]


def thrown_beam(steps: int) -> tuple[ObservedRollout, State]:
    """Return a beam of 0.1 m, clamped at one end and recorded at the other, and the state of its throw."""
    mesh = box_mesh(cells=(5, 1, 1), size=(0.1, 0.02, 0.02), element="hex8")
    elastic = ElasticForce(mesh, StableNeoHookean(youngs_modulus=1e5, poissons_ratio=0.4))
    damping = {"damping": MassDamping(5.0)}
    step = SymplecticEuler(mesh, {"elastic": elastic}, dt=5e-4, dissipation=damping, fixed="x_min")
    velocities = (mesh.vertices[:, :1] / 0.1) ** 2 * torch.tensor([[0.0, 0.5, 1.5]])
    rollout = RolloutModule(step, num_steps=steps, compile=False)
    tip = Markers(mesh, mesh.vertices[mesh.vertex_sets["x_max"]])
    times = torch.arange(1, FRAMES + 1) * steps * step.dt / FRAMES
    return ObservedRollout(rollout, tip, times), State(mesh.vertices, velocities)


def train(module: AmortizedIdentification, epochs: int) -> tuple[float, float]:
    """Train the network; return which shares of held-out values are within 1 and 2 standard deviations."""
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        trainer.fit(module)
    one, two = (float(trainer.callback_metrics[f"coverage/{count}_sd"]) for count in (1, 2))
    return one, two


def fit(observed: ObservedRollout, start: State, recordings: Tensor) -> IdentifiedSpecimens:
    """Return what fits find that start from the middle of the ranges, all in one batch."""
    for name, (low, high) in PRIOR.items():
        observed.quantities_by_name()[name].assign((low * high) ** 0.5)
    sensors, times = observed.sensors, observed.times
    return identify_specimens(
        observed.rollout, recordings, list(PRIOR), state=start, observe=sensors, times=times
    )


def main(bodies: int = 1024, epochs: int = 100, unseen: int = 64, steps: int = 300) -> Numbers:
    """Return what a network that has learned from so many beams makes of others, and what fits do."""
    seed_everything(0, verbose=False)
    observed, start = thrown_beam(steps)
    module = AmortizedIdentification(
        observed,
        start,
        prior=PRIOR,
        noise=NOISE,
        bodies=bodies,
        optimizer=partial(torch.optim.AdamW, lr=3e-3, weight_decay=1e-2),
        scheduler=partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=epochs),
    )
    coverage = train(module, epochs)
    truth, recordings = module.draw(unseen, seed=1)
    ways: dict[str, Callable[[], Any]] = {
        "the network": lambda: module.predict(recordings),
        "three steps of Gauss-Newton more": lambda: module.refine(recordings, steps=3),
        "a fit from the middle of the range": lambda: fit(observed, start, recordings),
    }
    errors, durations = [], []
    for way, identified in ways.items():
        clock = time.perf_counter()
        values = identified().values[E]
        durations.append((time.perf_counter() - clock) / unseen)
        errors.append(float((values / truth[E] - 1).abs().median()))
        print(f"{way}: median error of E {errors[-1]:.2%}, {1e3 * durations[-1]:.2f} ms per beam")
    print(f"within one predicted standard deviation: {coverage[0]:.0%}, within two: {coverage[1]:.0%}")
    return Numbers(errors, durations, coverage)


if __name__ == "__main__":
    torch.set_num_threads(1)  # Tensors as small as these are no faster on two.
    main()
