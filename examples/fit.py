"""A fit without a network: find the Young's modulus of a beam from how far it sags.

Run it by: python examples/fit.py
"""

import torch

from simlayer import ElasticForce, RolloutModule, StableNeoHookean, State, SymplecticEuler, box_mesh


def main(iterations: int = 40) -> float:
    """Return the modulus that was found [Pa]; the truth is 1e5 Pa, the first guess 3e5 Pa."""
    mesh = box_mesh(cells=(6, 2, 2), size=(0.1, 0.03, 0.03))
    elastic = ElasticForce(mesh, StableNeoHookean(youngs_modulus=1e5, poissons_ratio=0.4))
    step = SymplecticEuler(
        mesh, {"elastic": elastic}, dt=2e-4, gravity=(0.0, 0.0, -9.81), fixed=mesh.vertex_sets["x_min"]
    )
    rollout = RolloutModule(step, num_steps=100, compile=False)
    start = State.at_rest(mesh.vertices)
    target = rollout(start).positions  # stands for a measurement
    size = (target - start.positions).square().mean()

    elastic.material.youngs_modulus = 3e5
    parameters = rollout.train_only("youngs_modulus")
    optimizer = torch.optim.Adam(parameters, lr=0.1, betas=(0.7, 0.9))  # little momentum, for few iterations
    for _ in range(iterations):
        loss = (rollout(start).positions - target).square().mean() / size
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = elastic.material.youngs_modulus.item()
    print(f"found E = {found:.4g} Pa (truth: 1e+05 Pa, first guess: 3e+05 Pa)")
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)  # Tensors as small as these are no faster on two.
    main()
