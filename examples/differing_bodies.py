"""Bodies of different sizes in one batch: train a network to predict E from how far a beam sags.

Every sample is a clamped beam with a length, a thickness, a mesh and a Young's modulus of its own. The
network sees the size of the beam and the sag of its tip, and never E itself: the loss compares the positions
of all vertices, whose number differs from beam to beam.

Run it by: python examples/differing_bodies.py
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from simlayer import (
    Bodies,
    Body,
    ElasticForce,
    Equilibrium,
    Mesh,
    RolloutModule,
    StableNeoHookean,
    State,
    box_mesh,
    collate_bodies,
)

MIDDLE, DECADE = math.log(1e6), math.log(10)  # moduli from 0.32 to 3.2 MPa
HELD_OUT = 32
Sample = tuple[Body, Tensor, Tensor]  # a beam, what the network sees of it, and its positions at rest


def beam(length: float, thickness: float) -> Mesh:
    """Return a beam whose number of cells goes with its length."""
    return box_mesh(cells=(round(length / 0.02), 1, 1), size=(length, 0.02, thickness), element="hex8")


def sagged(bodies: Bodies, log_E: Tensor) -> list[State]:
    """Return the equilibrium of each beam under its weight, for moduli `(S, 1)`."""
    elastic = ElasticForce(bodies.mesh, StableNeoHookean(youngs_modulus=1e6, poissons_ratio=0.3))
    step = Equilibrium(bodies.mesh, {"elastic": elastic}, gravity=(0.0, 0.0, -9.81), fixed="x_min")
    E = bodies.parameters(step, {"youngs_modulus": log_E.exp()})
    return bodies.split(RolloutModule(step, num_steps=1)(bodies.state, E))


@torch.no_grad()
def observe(meshes: list[Mesh], log_E: Tensor) -> list[Sample]:
    """Return samples of beams with these moduli, all found in one batch."""
    samples = []
    for mesh, end in zip(meshes, sagged(Bodies([Body(mesh) for mesh in meshes]), log_E), strict=True):
        sag = (mesh.vertices - end.positions)[mesh.vertex_sets["x_max"], 2].mean()
        length, _, thickness = mesh.bounds[1] - mesh.bounds[0]
        seen = torch.stack([sag / length, length / 0.1, thickness / 0.03]).log()
        samples.append((Body(mesh), seen, end.positions))
    return samples


class Predictor(nn.Module):
    """Maps what is seen `(S, 3)` to log E `(S, 1)`."""

    def __init__(self, seen: Tensor) -> None:
        super().__init__()
        self.mean, self.scale = seen.mean(0), seen.std(0)
        self.layers = nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 1))

    def forward(self, seen: Tensor) -> Tensor:
        return MIDDLE + 0.6 * DECADE * self.layers((seen - self.mean) / self.scale).tanh()


def train(network: nn.Module, samples: list[Sample], epochs: int) -> None:
    """Fit the network to the positions of beams that differ."""
    loader: DataLoader[Sample] = DataLoader(
        samples,  # type: ignore[arg-type]  # a list is a Dataset
        batch_size=8,
        shuffle=True,
        collate_fn=collate_bodies,
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for epoch in range(epochs):
        for bodies, seen, targets in loader:
            starts, ends = bodies.split(bodies.state), sagged(bodies, network(torch.stack(seen)))
            losses = [
                (end.positions - target).square().mean() / (start.positions - target).square().mean()
                for start, end, target in zip(starts, ends, targets, strict=True)
            ]
            loss = torch.stack(losses).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        print(
            f"epoch {epoch + 1} of {epochs}: relative error of positions {loss.item() ** 0.5:.2%}", flush=True
        )


def main(beams: int = 96, epochs: int = 6) -> tuple[float, float]:
    """Return the mean relative error of E on held-out beams, of the network and of predicting the mean."""
    torch.manual_seed(0)
    lengths, thicknesses = torch.tensor([[0.06], [0.02]]) + torch.tensor([[0.08], [0.02]]) * torch.rand(
        2, beams + HELD_OUT
    )
    meshes = [beam(*size) for size in zip(lengths.tolist(), thicknesses.tolist(), strict=True)]
    log_E = MIDDLE + DECADE * (torch.rand(len(meshes), 1) - 0.5)
    samples = observe(meshes, log_E)
    seen = torch.stack([seen for _, seen, _ in samples])
    network = Predictor(seen[:beams])
    train(network, samples[:beams], epochs)

    truth = log_E[beams:]
    with torch.no_grad():
        error = (network(seen[beams:]) - truth).expm1().abs().mean().item()
    by_mean = (log_E[:beams].mean() - truth).expm1().abs().mean().item()
    print(f"held-out relative error of E: {error:.1%} (predicting the mean: {by_mean:.0%})")
    return error, by_mean


if __name__ == "__main__":
    torch.set_num_threads(1)  # Tensors as small as these are no faster on two.
    main()
