"""A simulator as a layer: train a network to predict a beam's stiffness from its motion, without labels.

Every sample is a soft beam, thrown upwards at its tip, with a Young's modulus of its own. A sensor records
the height of the tip, with noise. A network turns the record into log E, a rollout turns log E into
positions, and the loss compares them with the observed positions at the end. E itself is never given.

Run it by: python examples/layer_in_network.py
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from simlayer import ElasticForce, RolloutModule, StableNeoHookean, State, SymplecticEuler, box_mesh

MIDDLE, DECADE = math.log(1e5), math.log(10)  # moduli from 0.32e5 to 3.2e5 Pa
NOISE = 3e-4  # noise of the sensor [m]; tips rise by 6 to 28 mm
HELD_OUT = 128


def thrown_beam(compile: bool) -> tuple[RolloutModule, State]:
    """Return a beam of 0.1 m, clamped at one end, and the state in which its tip is thrown upwards."""
    mesh = box_mesh(cells=(6, 2, 2), size=(0.1, 0.03, 0.03))
    elastic = ElasticForce(mesh, StableNeoHookean(youngs_modulus=1e5, poissons_ratio=0.4))
    step = SymplecticEuler(
        mesh, {"elastic": elastic}, dt=2e-4, gravity=(0.0, 0.0, -9.81), fixed=mesh.vertex_sets["x_min"]
    )
    velocities = torch.zeros_like(mesh.vertices)
    velocities[:, 2] = 1.5 * (mesh.vertices[:, 0] / 0.1) ** 2
    return RolloutModule(step, num_steps=150, compile=compile), State(mesh.vertices, velocities)


@torch.no_grad()
def observe(rollout: RolloutModule, start: State, log_E: Tensor) -> tuple[Tensor, Tensor]:
    """Return the heights of the tip `(B, T)` and the final positions `(B, N, 3)` for these moduli."""
    motion = rollout.trajectory(start, {"youngs_modulus": log_E.exp()}, every=10).positions - start.positions
    tip = start.positions[:, 0] == start.positions[:, 0].max()
    heights = motion[1:, :, tip, 2].mean(-1).T
    return heights + NOISE * torch.randn_like(heights), start.positions + motion[-1]


def train(
    network: nn.Module, rollout: RolloutModule, start: State, data: Tensor, ends: Tensor, epochs: int
) -> None:
    """Fit the network to the final positions."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    size = (ends - start.positions).square().mean()
    for epoch in range(epochs):
        for rows in torch.randperm(len(data)).split(32):
            final = rollout(start, {"youngs_modulus": network(data[rows]).exp()})
            loss = (final.positions - ends[rows]).square().mean() / size
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        print(
            f"epoch {epoch + 1} of {epochs}: relative error of positions {loss.item() ** 0.5:.2%}", flush=True
        )


class Encoder(nn.Module):
    """Maps records `(B, T)` to log E `(B, 1)`, within the range where the rollout's time step is stable."""

    def __init__(self, data: Tensor) -> None:
        super().__init__()
        self.mean, self.scale = data.mean(0), data.std()
        self.layers = nn.Sequential(
            nn.Linear(data.shape[1], 64),
            nn.ReLU(),
            nn.Linear(64, 64),
            nn.ReLU(),
            nn.Linear(64, 1),
            nn.Tanh(),
        )

    def forward(self, data: Tensor) -> Tensor:
        return MIDDLE + 0.65 * DECADE * self.layers((data - self.mean) / self.scale)


def main(bodies: int = 256, epochs: int = 6, compile: bool = False) -> tuple[float, float]:
    """Return the mean relative error of E on held-out bodies, of the network and of predicting the mean."""
    torch.manual_seed(0)
    rollout, start = thrown_beam(compile)
    log_E = MIDDLE + DECADE * (torch.rand(bodies + HELD_OUT, 1) - 0.5)
    data, ends = observe(rollout, start, log_E)
    network = Encoder(data[:bodies])
    train(network, rollout, start, data[:bodies], ends[:bodies], epochs)

    truth = log_E[bodies:]
    with torch.no_grad():
        error = (network(data[bodies:]) - truth).expm1().abs().mean().item()
    by_mean = (log_E[:bodies].mean() - truth).expm1().abs().mean().item()
    print(f"held-out relative error of E: {error:.1%} (predicting the mean: {by_mean:.0%})")
    return error, by_mean


if __name__ == "__main__":
    torch.set_num_threads(1)  # Tensors as small as these are no faster on two.
    main()
