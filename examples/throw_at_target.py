"""A ball thrown at a target: the velocity with which it lands there after a bounce.

Run it by: python examples/throw_at_target.py
"""

import torch

from simlayer import (
    BarrierContact,
    CoulombFriction,
    ElasticForce,
    HalfSpace,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    ball_mesh,
)

TARGET = torch.tensor([0.2, 0.05, 0.08])  # [m], where its middle should be at the end
FIRST_THROW = (1.0, 0.0, -1.0)  # [m/s]
GAP = 1e-2  # [m], the distance at which the floor begins to push


def main() -> float:
    """Return how far from the target the ball is at the end [m]."""
    mesh = ball_mesh(2, radius=0.04)
    floor = HalfSpace(point=(0.0, 0.0, float(mesh.vertices[:, 2].min()) - 0.03))
    forces = {
        "elastic": ElasticForce(mesh, StableNeoHookean(1e5, poissons_ratio=0.3)),
        "contact": BarrierContact(mesh, floor, stiffness=2e4, activation_distance=GAP),
    }
    friction = CoulombFriction("contact", coefficient=0.4, threshold_speed=1e-2)
    step = SymplecticEuler(
        mesh, forces, dt=5e-4, gravity=(0.0, 0.0, -9.81), dissipation={"friction": friction}
    )
    rollout = RolloutModule(step, num_steps=240, compile=False)
    throw = torch.tensor(FIRST_THROW, requires_grad=True)

    def miss() -> torch.Tensor:
        """Return the vector from the target to the middle of the ball at the end [m]."""
        end = rollout(State(mesh.vertices, throw.expand_as(mesh.vertices)))
        return end.positions.mean(0) - TARGET

    before = miss().detach().norm().item()
    optimizer = torch.optim.LBFGS([throw], max_iter=10, line_search_fn="strong_wolfe", tolerance_change=1e-12)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = (miss() / 0.1).square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    after = miss().detach().norm().item()
    velocity = ", ".join(f"{component:.3f}" for component in throw.tolist())
    print(
        f"thrown at ({velocity}) m/s it misses by {1e3 * after:.2f} mm (first throw: {1e3 * before:.0f} mm)"
    )
    return after


if __name__ == "__main__":
    torch.set_num_threads(1)  # Tensors as small as these are no faster on two.
    torch.set_default_dtype(torch.float64)
    main()
