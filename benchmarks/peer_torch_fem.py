"""The equilibrium of the benchmark by torch-fem, with its gradient with respect to one Young's modulus."""

from __future__ import annotations

import time
from importlib.util import find_spec

import torch
from torch import Tensor


def available() -> str:
    """Why it can not run, "" if it can."""
    return "" if find_spec("torchfem") else "pip install torch-fem==0.14.0"


def solved(
    vertices: Tensor, cells: Tensor, held: Tensor, loads: Tensor, modulus: float, poissons_ratio: float
) -> tuple[float, float, Tensor, Tensor]:
    """Seconds forward and backward, displacements, and the gradient of their sum in z by the modulus."""
    from torchfem import Solid
    from torchfem.materials import Hyperelastic3D

    def energy(F: Tensor, lame: Tensor) -> Tensor:
        mu, lam = lame[..., 0], lame[..., 1]
        C = F.transpose(-1, -2) @ F
        log_J = 0.5 * torch.logdet(C)
        return mu / 2 * (torch.trace(C) - 3) - mu * log_J + lam / 2 * log_J**2

    E = torch.tensor(modulus, dtype=vertices.dtype, requires_grad=True)
    shear = E / (2 * (1 + poissons_ratio))
    lam = E * poissons_ratio / ((1 + poissons_ratio) * (1 - 2 * poissons_ratio))
    lame = torch.stack([shear, lam]).expand(len(cells), 2)
    body = Solid(vertices, cells, Hyperelastic3D(energy, lame))
    body.constraints[held] = True
    body.forces = loads
    begin = time.perf_counter()
    displacements, *_ = body.solve(rtol=1e-6, atol=1e-12, max_iter=20, differentiable_parameters=E)
    middle = time.perf_counter()
    displacements[:, 2].sum().backward()
    assert E.grad is not None
    return middle - begin, time.perf_counter() - middle, displacements.detach(), E.grad
