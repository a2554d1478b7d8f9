"""A block that slides down an incline: the coefficient of friction, found from how far it has slid.

Run it by: python examples/incline.py
"""

import math

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
    box_mesh,
)

TRUTH, GUESS = 0.3, 0.7  # coefficients of friction; with the guess the block would only creep
SLOPE = math.radians(25)
GAP = 3e-3  # [m], the distance at which the incline begins to push


def main() -> float:
    """Return the coefficient that was found."""
    # Coordinates are along the incline, so that gravity is tilted and the incline is not.
    gravity = (9.81 * math.sin(SLOPE), 0.0, -9.81 * math.cos(SLOPE))
    mesh = box_mesh(cells=(2, 2, 1), size=(0.1, 0.1, 0.05), origin=(0.0, 0.0, 0.88 * GAP))
    contact = BarrierContact(mesh, HalfSpace(), stiffness=1e4, activation_distance=GAP)
    friction = CoulombFriction("contact", coefficient=TRUTH, threshold_speed=1e-2)
    step = SymplecticEuler(
        mesh,
        {"elastic": ElasticForce(mesh, StableNeoHookean(1e5, poissons_ratio=0.3)), "contact": contact},
        dt=1e-3,
        gravity=gravity,
        dissipation={"friction": friction},
    )
    rollout = RolloutModule(step, num_steps=150, compile=False)
    start = State.at_rest(mesh.vertices)

    def distance() -> torch.Tensor:
        """Return how far the block has slid, at 10 times [m]."""
        return (rollout.trajectory(start, every=15).positions - mesh.vertices)[..., 0].mean(-1)

    observed = distance().detach()  # stands for a recording
    friction.coefficient = GUESS
    parameters = rollout.train_only("friction.coefficient")
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=10, line_search_fn="strong_wolfe", tolerance_change=1e-12
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = (distance() - observed).square().mean() / 1e-2**2  # in centimetres
        value.backward()
        return value

    optimizer.step(loss)
    found = friction.coefficient.item()
    print(f"found mu = {found:.4f} (truth: {TRUTH}, first guess: {GUESS})")
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)  # Tensors as small as these are no faster on two.
    main()
