"""A soft body that learns to crawl: a gait, by gradient through contact and friction.

A flat body lies on a floor and has four muscles along it, above and below in its rear and its front half. A
gait is a period of activations, which is repeated. Several random gaits learn at once, in a batch, each by
the gradient of how far its own body gets in a period; the next one goes on from where the last one ended.

Run it by: python examples/crawler.py
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import simlayer as sl

LENGTH, WIDTH, THICKNESS, MUSCLES = 0.1, 0.03, 0.02, 4
GAP = 8e-3  # [m], the distance at which the floor begins to push
PERIOD, KNOTS = 240, 6  # steps of a period, and times in it between which activations are interpolated
ACTIVATION = "forces.muscle.activation"


def body() -> tuple[sl.Mesh, sl.Step]:
    """Return the body and its step, with all muscles as one force: each is a part of the cells."""
    size = (LENGTH, WIDTH, THICKNESS)
    mesh = sl.box_mesh(cells=(8, 1, 2), size=size, origin=(0.0, 0.0, 0.88 * GAP), element="hex8")
    forces = {
        "elastic": sl.ElasticForce(mesh, sl.StableNeoHookean(5e4, poissons_ratio=0.3)),
        "viscous": sl.KelvinVoigt(mesh, shear_viscosity=20.0),
        "muscle": sl.Muscle(mesh, (1.0, 0.0, 0.0), peak_stress=8e3),
        "contact": sl.BarrierContact(mesh, sl.HalfSpace(), stiffness=5e3, activation_distance=GAP),
    }
    friction = {"friction": sl.CoulombFriction("contact", coefficient=0.5, threshold_speed=1e-2)}
    step = sl.SymplecticEuler(mesh, forces, dt=5e-4, gravity=(0.0, 0.0, -9.81), dissipation=friction)
    return mesh, step


def muscle_cells(mesh: sl.Mesh) -> Tensor:
    """Return which cells each muscle has, 1 or 0, `(MUSCLES, M)`."""
    x, _, z = mesh.vertices[mesh.cells].mean(1).T
    number = (x > LENGTH / 2) + 2 * (z > z.mean())
    return nn.functional.one_hot(number, MUSCLES).T.to(mesh.vertices.dtype)


def signal(gaits: Tensor, cells: Tensor) -> Tensor:
    """Return the activations of cells in one period, `(PERIOD, B, M)`, from logits `(KNOTS, B, MUSCLES)`."""
    around = torch.cat([gaits, gaits[:1]])  # ends where it began
    return sl.interpolated_controls(around, PERIOD + 1)[:-1].sigmoid() @ cells


def middle(positions: Tensor) -> Tensor:
    """Return where the bodies are along the floor [m]."""
    return positions[..., 0].mean(-1)


@torch.no_grad()
def distances(rollout: sl.RolloutModule, mesh: sl.Mesh, activations: Tensor, periods: int) -> Tensor:
    """Return how far bodies have crawled from rest after each period [m], `(periods, B)`."""
    state, found = sl.State.at_rest(mesh.vertices.expand(activations.shape[1], -1, -1)), []
    for _ in range(periods):
        state = rollout(state, controls={ACTIVATION: activations})
        found.append(middle(state.positions) - middle(mesh.vertices))
    return torch.stack(found)


def learn(rollout: sl.RolloutModule, mesh: sl.Mesh, gaits: Tensor, cells: Tensor, updates: int) -> None:
    """Change each gait in place such that its body gets further in a period."""
    optimizer = torch.optim.Adam([gaits], 0.3)
    state = sl.State.at_rest(mesh.vertices.expand(gaits.shape[1], -1, -1))
    for update in range(updates):
        end = rollout(state, controls={ACTIVATION: signal(gaits, cells)})
        ways = middle(end.positions) - middle(state.positions)
        # Gaits do not meet: each has its own gradient, which is clipped by itself.
        (gradient,) = torch.autograd.grad(-(ways / LENGTH).sum(), gaits)
        gaits.grad = gradient.renorm(2, dim=1, maxnorm=1.0)
        optimizer.step()
        state = sl.State(end.positions.detach(), end.velocities.detach())
        if update % 5 == 4:
            furthest, mean = 1e3 * ways.max(), 1e3 * ways.mean()
            print(f"  period {update + 1}: {furthest:.1f} mm, {mean:.1f} mm on average", flush=True)


def main(updates: int = 15, batch: int = 8, periods: int = 4) -> tuple[float, float, float]:
    """Return how far the best learnt gait gets, in twice the time too, and the best untrained one [m]."""
    torch.manual_seed(0)
    mesh, step = body()
    rollout, cells = sl.RolloutModule(step, PERIOD, compile=False), muscle_cells(mesh)
    gaits = torch.randn(KNOTS, batch, MUSCLES).requires_grad_()
    untrained = distances(rollout, mesh, signal(gaits, cells), periods)[-1].max().item()
    learn(rollout, mesh, gaits, cells, updates)
    ways = distances(rollout, mesh, signal(gaits, cells), 2 * periods)
    best = ways[periods - 1].argmax()
    way, twice = ways[periods - 1, best].item(), ways[-1, best].item()
    seconds = periods * PERIOD * step.dt
    print(
        f"in {seconds:.1f} s it crawls {1e3 * way:.0f} mm, {way / LENGTH:.1f} body lengths "
        f"(best untrained gait: {1e3 * untrained:.0f} mm); in {2 * seconds:.1f} s {1e3 * twice:.0f} mm"
    )
    return way, twice, untrained


if __name__ == "__main__":
    torch.set_num_threads(1)  # Tensors as small as these are no faster on two.
    main()
