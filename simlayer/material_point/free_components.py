"""Free components of a deformation gradient: those without nominal stress, found by Newton's method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.autodiff.implicit_function import ImplicitFunction
from simlayer.forces.module_energy import ModuleEnergy
from simlayer.linalg.matrix3 import Matrix3
from simlayer.material_point.pressure import isochoric, without_stress

# The most iterations of Newton's method, and halvings of a step; the share of the predicted decrease of
# the energy for which a step is taken (Armijo 1966).
_ITERATIONS, _HALVINGS, _DECREASE = 100, 30, 1e-4

# Converged below so many rounding errors of the stiffness; a last step makes little of what is left.
_ROUNDINGS = 100.0

# The ratio of volumes of a body that has collapsed, where some laws have no stress either.
_COLLAPSED = 1e-4


class PointStress(NamedTuple):
    """A deformation gradient with its nominal stress [Pa], each of nine fields."""

    F: Matrix3
    P: Matrix3


class FreeComponents(ImplicitFunction):
    """The free components of F that minimize the energy density, `(n, *batch, f)`, NaN where none are found.

    Where incompressible, the last free component follows from det F = 1, and the pressure from its nominal
    stress, which is zero; the energy of the others then has no constraint (elimination; Nocedal and Wright
    2006, section 15.3).

    Args:
        density: the traced energy density of the material.
        free: the free components by their places in the nine, the dependent one last.
        incompressible: whether det F = 1.
    """

    def __init__(self, density: ModuleEnergy, free: Sequence[int], *, incompressible: bool) -> None:
        self.density = density
        self.dependent = free[-1] if incompressible else None
        self.sought = list(free[:-1] if incompressible else free)

    def stress(self, x: Tensor | None, *inputs: Tensor) -> PointStress:
        """Return F and the nominal stress, given the sought components, if there are any, and the inputs.

        The inputs are the nine components of F, `(n, *batch)`, and the coefficients of the density.
        """
        F = self._gradient(x, inputs)
        P = Matrix3(*self.density.gradient(inputs[9:], F))
        return PointStress(F, P if self.dependent is None else without_stress(P, F, self.dependent))

    def residual(self, x: Tensor, *inputs: Tensor) -> Tensor:
        P = self.stress(x, *inputs).P
        return torch.stack([P[k] for k in self.sought], -1)

    def solve(self, x: Tensor, right: Tensor, *inputs: Tensor) -> Tensor:
        return torch.linalg.solve(self._stiffness(x, inputs), right[..., None])[..., 0]

    @torch.no_grad()
    def find(self, *inputs: Tensor) -> Float[Tensor, "*shape"]:
        shape = torch.broadcast_shapes(*(t.shape for t in inputs[:9] + inputs[9 + self.density.shared :]))
        x = torch.stack([inputs[k].expand(shape) for k in self.sought], -1)
        finished = torch.zeros(shape, dtype=torch.bool, device=x.device)
        for _ in range(_ITERATIONS):
            residual, stiffness = self.residual(x, *inputs), self._stiffness(x, inputs)
            sound = residual.isfinite().all(-1) & stiffness.isfinite().all(-1).all(-1)
            size = _ROUNDINGS * torch.finfo(x.dtype).eps * stiffness.abs().amax((-2, -1))
            near = sound & (residual.abs().amax(-1) <= size)
            step = _descent_step(residual, stiffness, sound)
            if bool((near | ~sound | finished).all()):
                return self._kept(x + step * near[..., None], near | finished, inputs)
            x, moved = self._advance(x, step, residual, near | ~sound, inputs)
            finished = near | (~moved & (residual.abs().amax(-1) <= 1e3 * size))
        return self._kept(x, finished, inputs)

    def _kept(self, x: Tensor, found: Tensor, inputs: Sequence[Tensor]) -> Tensor:
        """Return the components where they were found, and the body has not collapsed to find them."""
        whole = self._gradient(x, inputs).det() > _COLLAPSED
        return torch.where((found & whole)[..., None], x, math.nan)

    def _advance(
        self, x: Tensor, step: Tensor, residual: Tensor, waiting: Tensor, inputs: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the components after steps that lower energy or residual, and whether they moved."""
        energy, slope, size = self._energy(x, inputs), (residual * step).sum(-1), residual.norm(dim=-1)
        length, taken, moved = torch.ones_like(size), waiting, torch.zeros_like(waiting)
        for _ in range(_HALVINGS):
            trial = x + length[..., None] * step
            lower = self._energy(trial, inputs) <= energy + _DECREASE * length * slope
            # Near the solution, energies differ by less than their rounding errors.
            good = ~taken & (lower | (self.residual(trial, *inputs).norm(dim=-1) < 0.5 * size))
            moved, taken = moved | good, taken | good
            if bool(taken.all()):
                break
            length = torch.where(taken, length, length / 2)
        return x + (length * moved)[..., None] * step, moved

    def _gradient(self, x: Tensor | None, inputs: Sequence[Tensor]) -> Matrix3:
        parts = list(inputs[:9])
        for k, place in enumerate(self.sought if x is not None else ()):
            parts[place] = x[..., k]  # type: ignore[index]
        F = Matrix3(*parts)
        return F if self.dependent is None else isochoric(F, self.dependent)

    def _energy(self, x: Tensor, inputs: Sequence[Tensor]) -> Tensor:
        return self.density.value(inputs[9:], self._gradient(x, inputs))

    def _stiffness(self, x: Tensor, inputs: Sequence[Tensor]) -> Float[Tensor, "*shape f f"]:
        """Return the second derivatives of the energy by the sought components."""
        x, inputs = x.detach(), [tensor.detach() for tensor in inputs]
        F = Matrix3(*(part.expand(x.shape[:-1]) for part in self._gradient(x, inputs)))
        K = self.density.hessian(inputs[9:], F, point_axes=1).movedim(-3, 0)
        along = torch.eye(9, dtype=x.dtype, device=x.device)[:, self.sought]
        if self.dependent is None:
            return along.T @ K @ along
        cofactor = torch.stack(F.cofactor(), -1)
        P = self.density.gradient(inputs[9:], F)[self.dependent]
        pressure = P / cofactor[..., self.dependent]
        bend = torch.einsum("abc,...c->...ab", _SECOND_OF_DET.to(x), torch.stack(F, -1))
        along = along.expand(*x.shape[:-1], *along.shape).clone()
        along[..., self.dependent, :] = -cofactor[..., self.sought] / cofactor[..., self.dependent, None]
        return along.mT @ (K - pressure[..., None, None] * bend) @ along


def _descent_step(residual: Tensor, stiffness: Tensor, sound: Tensor) -> Tensor:
    """Return Newton steps, turned downhill where the energy curves downwards; none where not `sound`."""
    identity = torch.eye(residual.shape[-1], dtype=residual.dtype, device=residual.device)
    values, vectors = torch.linalg.eigh(torch.where(sound[..., None, None], stiffness, identity))
    least = torch.finfo(values.dtype).eps * values.abs().amax(-1, keepdim=True)
    slopes = (vectors.mT @ torch.where(sound[..., None], residual, 0.0)[..., None])[..., 0]
    return -(vectors @ (slopes / values.abs().clamp(min=least))[..., None])[..., 0]


def _second_of_det() -> Float[Tensor, "9 9 9"]:
    """Return the third derivatives of det F, each of which is -1, 0 or 1."""
    permutation = torch.zeros(3, 3, 3)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        permutation[i, j, k], permutation[i, k, j] = 1.0, -1.0
    return torch.einsum("ikm,jln->ijklmn", permutation, permutation).reshape(9, 9, 9)


_SECOND_OF_DET = _second_of_det()
