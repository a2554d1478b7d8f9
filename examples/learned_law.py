"""A material law learned from motions: a neural network for what is not known, tried on a load never seen.

Run it by: python examples/learned_law.py
"""

import torch
from torch import Tensor

from simlayer import (
    ElasticForce,
    IsotropicMaterial,
    Material,
    Matrix3,
    Mesh,
    NeuralHyperelastic,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
)

# Accelerations of the whole body [m/s²]: it is pulled, pressed and bent, and never what it is tried on.
SEEN, UNSEEN = [[90.0, 0.0, 0.0], [-45.0, 0.0, 0.0], [0.0, 25.0, 0.0]], [[35.0, 0.0, -15.0]]
STIFFENING = 4.0  # of the unknown law


class Unknown(IsotropicMaterial):
    """The law of the body that is observed, exponential as of soft tissue (Y. C. Fung 1967)."""

    def energy_density(self, F: Matrix3) -> Tensor:
        J = F.det()
        shear = torch.expm1(0.5 * STIFFENING * (F.inner(F) - 3 - 2 * J.log())) / STIFFENING
        return self.mu * shear + 0.5 * self.lam * (J - 1) ** 2


def mesh() -> Mesh:
    """A beam of 10 cm in the default precision."""
    return box_mesh(cells=(3, 1, 1), size=(0.1, 0.03, 0.03))


def body(material: Material) -> RolloutModule:
    """A beam that is held at one end."""
    beam = mesh()
    forces = {"elastic": ElasticForce(beam, material)}
    step = SymplecticEuler(beam, forces, dt=1.25e-3, density=1000.0, fixed=beam.vertex_sets["x_min"])
    return RolloutModule(step, num_steps=32, compile=False)


def displacements(rollout: RolloutModule, loads: list[list[float]]) -> Tensor:
    """The displacements at every fourth step under each of these loads [m]."""
    start = State.at_rest(mesh().vertices)
    frames = rollout.trajectory(start, {"gravity": torch.tensor(loads)}, every=4)
    return frames.positions - start.positions


def fit(material: Material, observed: Tensor, evaluations: int) -> RolloutModule:
    """Fit everything that the material has to displacements, weights and moduli alike."""
    rollout = body(material)
    rollout.train_only()
    parameters = list(material.requires_grad_().parameters())
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=evaluations, max_eval=evaluations, history_size=30, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = (displacements(rollout, SEEN) - observed).square().sum(-1).mean() / 1e-3**2  # in millimetres
        value.backward()
        return value

    optimizer.step(loss)
    return rollout


def main() -> tuple[float, float]:
    """Return the relative errors of displacements under an unseen load: of the network, and of a textbook."""
    truth = body(Unknown(3e4, 0.4))
    with torch.no_grad():
        observed, unseen = displacements(truth, SEEN), displacements(truth, UNSEEN)  # stand for recordings
    torch.manual_seed(1)
    errors = []
    for material, evaluations in (
        (NeuralHyperelastic(2e4, 0.3, hidden=(6,)), 60),
        (StableNeoHookean(2e4, 0.3), 30),
    ):
        rollout = fit(material, observed, evaluations)
        with torch.no_grad():
            error = displacements(rollout, UNSEEN) - unseen
        errors.append(float(error.norm() / unseen.norm()))
        print(f"{type(material).__name__}: displacements under an unseen load are {errors[-1]:.1%} off")
    return errors[0], errors[1]


if __name__ == "__main__":
    torch.set_num_threads(1)  # Tensors as small as these are no faster on two.
    torch.set_default_dtype(torch.float64)
    main()
