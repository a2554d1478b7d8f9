"""A material of your own: write its energy, and stress, time step and gradients follow.

Run it by: python examples/custom_material.py
"""

import torch
from torch import Tensor

from simlayer import (
    ElasticForce,
    Material,
    Matrix3,
    Quantity,
    RolloutModule,
    State,
    SymplecticEuler,
    box_mesh,
)


class Gent(Material):
    """Rubber that locks when its chains are stretched out (A. N. Gent 1996), made compressible.

    Args:
        shear_modulus, bulk_modulus: moduli at small strain [Pa].
        locking: the limit of tr(FᵀF) - 3, at which the energy is infinite.
    """

    shear_modulus = Quantity("Pa", over="cells", positive=True)
    bulk_modulus = Quantity("Pa", over="cells", positive=True)
    locking = Quantity("1", over="cells", positive=True)

    def __init__(self, shear_modulus: float, bulk_modulus: float, locking: float) -> None:
        super().__init__()
        self.shear_modulus, self.bulk_modulus, self.locking = shear_modulus, bulk_modulus, locking

    def energy_density(self, F: Matrix3) -> Tensor:
        mu, limit, log_J = self.shear_modulus, self.locking, F.det().log()
        chains = -0.5 * mu * limit * torch.log1p(-(F.inner(F) - 3) / limit)
        # The chains resist changes of volume too, at small strain like a lam of 2 mu / limit.
        lam = self.bulk_modulus - 2 / 3 * mu - 2 * mu / limit
        return chains - mu * log_J + 0.5 * lam * log_J**2


def main() -> float:
    """Return the relative difference between the gradient of the tip's stretch and a central difference."""
    mesh = box_mesh(cells=(6, 2, 2), size=(0.1, 0.03, 0.03))
    elastic = ElasticForce(mesh, Gent(shear_modulus=4e4, bulk_modulus=2e5, locking=1.0))
    step = SymplecticEuler(mesh, {"elastic": elastic}, dt=2e-4, fixed=mesh.vertex_sets["x_min"])
    rollout = RolloutModule(step, num_steps=60, compile=False).double()
    positions = mesh.vertices.double()
    start = State(positions, positions * torch.tensor([40.0, 0.0, 0.0]).double())  # pulled apart

    def stretch(log_locking: Tensor) -> Tensor:
        end = rollout(start, {"forces.elastic.material.log_locking": log_locking})
        return end.positions[:, 0].max() / 0.1

    log_locking = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(stretch(log_locking), log_locking)
    with torch.no_grad():
        difference = (stretch(log_locking + 1e-4) - stretch(log_locking - 1e-4)) / 2e-4
    error = abs(gradient / difference - 1).item()
    print(f"d(stretch)/d(log locking): {gradient:.9f}, central difference {difference:.9f}")
    return error


if __name__ == "__main__":
    torch.set_num_threads(1)  # Tensors as small as these are no faster on two.
    main()
