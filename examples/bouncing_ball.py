"""A bouncing ball: Young's modulus and the stiffness of the contact, found from the paths of two points.

Run it by: python examples/bouncing_ball.py
"""

import torch

from simlayer import (
    BarrierContact,
    ElasticForce,
    HalfSpace,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    ball_mesh,
)

TRUTH, GUESS = (5e4, 5e3), (2.5e4, 1e4)  # Young's modulus and the stiffness of the contact [Pa]
GAP = 5e-3  # [m], the distance at which the floor begins to push; a step moves the ball by a twentieth of it


def main() -> tuple[float, float]:
    """Return Young's modulus and the stiffness of the contact that were found [Pa]."""
    mesh = ball_mesh(2, radius=0.05)
    heights = mesh.vertices[:, 2]
    elastic = ElasticForce(mesh, StableNeoHookean(TRUTH[0], poissons_ratio=0.4))
    floor = HalfSpace(point=(0.0, 0.0, float(heights.min()) - 1.5 * GAP))
    contact = BarrierContact(mesh, floor, stiffness=TRUTH[1], activation_distance=GAP)
    forces = {"elastic": elastic, "contact": contact}
    step = SymplecticEuler(mesh, forces, dt=5e-4, gravity=(0.0, 0.0, -9.81))
    rollout = RolloutModule(step, num_steps=120, compile=False)
    start = State(mesh.vertices, torch.tensor([0.0, 0.0, -0.5]).expand_as(mesh.vertices))
    points = [int(heights.argmin()), int(heights.argmax())]

    def path() -> torch.Tensor:
        return rollout.trajectory(start, every=6).positions[:, points]

    observed = path().detach()  # stands for a recording
    elastic.material.youngs_modulus, contact.stiffness = GUESS
    parameters = rollout.train_only(["youngs_modulus", "contact.stiffness"])
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=12, line_search_fn="strong_wolfe", tolerance_change=1e-12
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = (path() - observed).square().sum(-1).mean() / 1e-3**2  # in millimetres
        value.backward()
        return value

    optimizer.step(loss)
    found = elastic.material.youngs_modulus.item(), contact.stiffness.item()
    texts = [
        f"{f:.4g} Pa (truth: {t:g}, first guess: {g:g})" for f, t, g in zip(found, TRUTH, GUESS, strict=True)
    ]
    print(f"found E = {texts[0]}, contact stiffness = {texts[1]}")
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)  # Tensors as small as these are no faster on two.
    torch.set_default_dtype(torch.float64)
    main()
