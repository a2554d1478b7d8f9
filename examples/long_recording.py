"""A recording of many periods: why one rollout cannot be fitted to it, and how windows of it can.

A block of jelly was struck and wobbles for twenty seconds. Young's modulus is not known well: a first guess
that is a third too low loses the phase within two periods, and the fit of a single rollout gets hardly any
further. Multiple shooting simulates windows of a second and a quarter, all in one batch, which start in
states of their own, and then closes the gaps between them.

Run it by: python examples/long_recording.py
"""

from typing import Any

import torch

from simlayer import (
    ConvergenceError,
    ElasticForce,
    LinearElastic,
    MassDamping,
    RolloutModule,
    State,
    SymplecticEuler,
    box_mesh,
)
from simlayer.identification import Identified, Vertices, identify, identify_by_shooting

TRUTH, GUESS = 1.0e3, 650.0  # [Pa]
NOISE = 2e-4  # [m]
DT = 0.02  # [s]; every second step is observed
WINDOW = 1.25  # [s], some two periods
SIZE = (0.1, 0.1, 0.1)  # [m]


def block(modulus: float, duration: float) -> RolloutModule:
    """Return the simulation of a block that is clamped at one end, damped at 0.05 / s."""
    mesh = box_mesh(cells=(1, 1, 1), size=SIZE)
    elastic = ElasticForce(mesh, LinearElastic(modulus, poissons_ratio=0.3))
    step = SymplecticEuler(
        mesh, {"elastic": elastic}, dt=DT, fixed="x_min", dissipation={"damping": MassDamping(0.05)}
    )
    return RolloutModule(step, round(duration / step.dt), compile=False)


def struck() -> State:
    """Return the block at rest, with velocities across that grow towards its free end."""
    rest = box_mesh(cells=(1, 1, 1), size=SIZE).vertices
    return State(rest, rest[:, :1] / SIZE[0] * torch.tensor([0.0, 0.02, 0.05]))


def record(duration: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the times, and the paths of two corners of the free end with noise, at the true modulus."""
    with torch.no_grad():
        frames = block(TRUTH, duration).trajectory(struck(), every=2).positions[1:, [-1, -2]]
    torch.manual_seed(0)
    times = torch.arange(1, len(frames) + 1) * 2 * DT
    return times, frames + NOISE * torch.randn_like(frames)


def main(duration: float = 20.0) -> tuple[float, Identified]:
    """Return the modulus that a single rollout finds [Pa], and what multiple shooting finds."""
    torch.set_default_dtype(torch.float64)
    times, points = record(duration)
    last = len(struck().positions) - 1
    recording: dict[str, Any] = {
        "state": struck(),
        "observe": Vertices(torch.tensor([last, last - 1])),
        "times": times,
    }
    single = block(GUESS, duration)
    try:
        identify(single, points, "youngs_modulus", max_steps=8, **recording)
    except ConvergenceError as failure:
        print(failure)
    (stored,) = single.train_only("youngs_modulus")
    alone = float(stored.detach().exp())
    print(f"one rollout:       E = {alone:.5g} Pa (truth: {TRUTH:.5g} Pa, first guess: {GUESS:.5g} Pa)")
    windows = round(duration / WINDOW)
    found = identify_by_shooting(
        block(GUESS, duration), points, "youngs_modulus", windows=windows, modes=4, **recording
    )
    (value,), (error,) = found.values.values(), found.standard_errors.values()
    print(f"multiple shooting: E = {value:.6g} ± {error:.2g} Pa, by {windows} windows")
    return alone, found


if __name__ == "__main__":
    torch.set_num_threads(1)  # Tensors as small as these are no faster on two.
    main()
