"""The benchmark scene in torch-diffsim 0.2.0, through its public `DifferentiableSimulator`.

Its material is the same Stable Neo-Hookean with the logarithm and the small-strain correction (mu_s = 4/3 mu,
lam_s = lam + 5/6 mu), up to a constant; the forces come from autograd of the energy in every step, kept
differentiable by `create_graph=True`. Float32. Gradients: E, nu, initial positions, initial velocities.
"""

from collections.abc import Callable

import numpy as np
from peer_scene import DENSITY, GRAVITY, POISSONS_RATIO, YOUNGS_MODULUS, Result, initial_positions


def available() -> str | None:
    """None if torch-diffsim can be imported, else what to install."""
    try:
        import diffsim  # noqa: F401
    except ImportError:
        return "pip install torch-diffsim==0.2.0"
    return None


def build(
    vertices: np.ndarray, cells: np.ndarray, fixed: np.ndarray, *, dt: float, num_steps: int
) -> Callable[[], Result]:
    """One forward and backward of `num_steps` steps of the mean squared distance to the rest shape.

    What it does beyond the scene and has no switch for: a velocity clamp by tanh(50 / |v|), which is 1 in
    float32 here, a multiplication by the damping factor, 1 too, masks of the fixed vertices rebuilt in every
    step, and checks that the masses are positive and the state finite.
    """
    import torch
    from diffsim import DifferentiableMaterial, DifferentiableSimulator, DifferentiableSolver, TetrahedralMesh

    mesh = TetrahedralMesh(vertices, cells)
    material = DifferentiableMaterial(YOUNGS_MODULUS, POISSONS_RATIO)
    solver = DifferentiableSolver(dt=dt, damping=1.0, substeps=1)
    solver.gravity = torch.tensor(GRAVITY)  # the constructor knows the y axis only
    solver.contact_handler = _NoContact()
    simulator = DifferentiableSimulator(mesh, material, solver, density=DENSITY)
    simulator.set_fixed_vertices(torch.from_numpy(np.flatnonzero(fixed)))
    target = mesh.vertices
    x0 = torch.from_numpy(initial_positions(vertices)).requires_grad_()
    v0 = torch.zeros_like(x0, requires_grad=True)
    leaves = {"E": material.E, "nu": material.nu, "x0": x0, "v0": v0}

    def run() -> Result:
        simulator.positions, simulator.velocities = x0, v0
        # Not `rollout`: it checkpoints at least its first step, thus computes it twice.
        for _ in range(num_steps):
            simulator.step()
        loss = (simulator.positions - target).square().sum(-1).mean()
        gradients = torch.autograd.grad(loss, list(leaves.values()))
        final = simulator.positions.detach().numpy()
        simulator.reset()  # frees the graph
        return final, {name: gradient.numpy() for name, gradient in zip(leaves, gradients, strict=True)}

    return run


class _NoContact:
    """In place of the ground penalty at y = 0, which the constructor installs and the box would touch."""

    def ground_contact_force(self, positions, velocities):
        return 0.0
