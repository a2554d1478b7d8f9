"""What a material must satisfy, tried on random deformations and reported as a table."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.forces.elastic import traced_energy_density
from simlayer.forces.material_report import MaterialCheck, MaterialReport
from simlayer.linalg.matrix3 import Matrix3
from simlayer.materials.base import Material
from simlayer.quantities.arguments import checked_integer, checked_number, checked_several
from simlayer.quantities.objects import checked_instance

# Relative to stresses in the sample: rounding of energies, and truncation of central differences.
_EXACT, _DIFFERENCE, _STEP = 1e-8, 1e-6, 1e-5
# Directions for each deformation, in which plane waves travel.
_DIRECTIONS = 40


def check_material(
    material: Material,
    *,
    stretches: tuple[float, float] = (0.7, 1.5),
    samples: int = 64,
    seed: int = 0,
) -> MaterialReport:
    """Try on random deformations what a material must satisfy, such as objectivity and ellipticity.

    Objectivity, no energy and no stress at rest, stability at rest, stress and tangent as differences say,
    finite derivatives where stretches are repeated, rank-one convexity (no plane wave without stiffness,
    which polyconvexity implies; Ball 1977), and an energy that rises towards J = 0 and infinity. Isotropy
    is only reported. It is a probe: what it finds is wrong, what it does not find may still be. Many
    materials are rank-one convex for moderate stretches only.

    Args:
        material: left as it is; a copy of it computes in double precision.
        stretches: the principal stretches to try lie between these two; rest, 1, is between them.
        samples: how many deformations to try.
        seed: of the random deformations.

    Raises:
        TypeError: if this is no material.
        ValueError: if stretches do not enclose 1.
        TracingError: if the energy cannot be traced.
    """
    checked_instance("material", material, Material, example="StableNeoHookean(1e5, 0.45)")
    low, high = checked_several("stretches", stretches, 2, checked_number, above=0)
    if not low < 1 < high:
        raise ValueError(f"stretches must enclose 1, got {stretches}.")
    samples = checked_integer("samples", samples, least=1)
    generator = torch.Generator().manual_seed(checked_integer("seed", seed))
    with torch.no_grad():
        law = _Law(copy.deepcopy(material).double().cpu())
        checks = _checks(law, (low, high), samples, generator)
    return MaterialReport(type(material).__name__, tuple(checks))


class _Law:
    """The energy density of a material and its derivatives at arrays of n deformation gradients.

    A material with values over M cells is tried in all of them; otherwise M is 1.
    """

    def __init__(self, material: Material) -> None:
        self.density = traced_energy_density(material)
        self.coefficients = self.density.coefficients(material, 1)

    def energy(self, F: Float[Tensor, "n 3 3"]) -> Float[Tensor, "M n"]:
        return self.density.value(self.coefficients, _fields(F))

    def stress(self, F: Float[Tensor, "n 3 3"]) -> Float[Tensor, "M n 3 3"]:
        P = torch.broadcast_tensors(*self.density.gradient(self.coefficients, _fields(F)))
        return torch.stack(P, -1).unflatten(-1, (3, 3))

    def tangent(self, F: Float[Tensor, "n 3 3"]) -> Float[Tensor, "n M 3 3 3 3"]:
        blocks = self.density.hessian(self.coefficients, _fields(F), point_axes=1)
        return blocks.unflatten(-1, (3, 3)).unflatten(-3, (3, 3))


def _fields(F: Float[Tensor, "n 3 3"]) -> Matrix3:
    return Matrix3(*F.flatten(1).T[:, None])


def _checks(
    law: _Law, stretches: tuple[float, float], samples: int, generator: torch.Generator
) -> list[MaterialCheck]:
    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    F = _deformations(random, samples, stretches)
    rotation, rest = _rotations(random(samples, 3, 3)), torch.eye(3, dtype=torch.float64)[None]
    energy, stress = law.energy(F), law.stress(F)
    # Strains are of order one, so that stresses are as large as stiffness.
    scale = stress.nan_to_num(0, 0, 0).abs().max().clamp(min=torch.finfo(torch.float64).tiny)

    def miss(name: str, error: Tensor, limit: float, meaning: str, *, required: bool = True) -> MaterialCheck:
        value = float((error.abs() / scale).max())
        return MaterialCheck(name, value, value <= limit, required, meaning)

    def margin(name: str, least: Tensor, meaning: str) -> MaterialCheck:
        value = float(least.min())
        return MaterialCheck(name, value, value > 0, True, meaning)

    dF = random(samples, 3, 3)
    above, below = F + _STEP * dF, F - _STEP * dF
    work = (law.energy(above) - law.energy(below)) / (2 * _STEP)
    change = (law.stress(above) - law.stress(below)) / (2 * _STEP)
    tangents = law.tangent(F)
    product = torch.einsum("nmijkl,nkl->mnij", tangents, dF)
    waves = _slowest_waves(tangents, _unit(random(_DIRECTIONS, 3)))
    at_rest = law.tangent(rest)[0]
    relative = "over the largest stress tried"
    return [
        miss("objectivity", law.energy(rotation @ F) - energy, _EXACT, f"change by rotations, {relative}"),
        miss("energy at rest", law.energy(rest), _EXACT, relative),
        miss("stress at rest", law.stress(rest), _EXACT, relative),
        margin("stability at rest", _strain_stiffness(at_rest) / scale, "least stiffness of any strain"),
        miss("stress", (stress * dF).sum((-1, -2)) - work, _DIFFERENCE, "from differences of the energy"),
        miss("tangent", product - change, _DIFFERENCE, "from differences of the stress"),
        _finite(law, stretches),
        margin("rank-one convexity", waves / scale, "least stiffness to plane waves"),
        _growth(law),
        miss("isotropy", law.energy(F @ rotation) - energy, _EXACT, "change by rotations of the rest shape",
             required=False),
    ]  # fmt: skip


def _finite(law: _Law, stretches: tuple[float, float]) -> MaterialCheck:
    """Whether energy, stress and tangent are finite where stretches are repeated."""
    low, high = stretches
    repeated = [[1, 1, 1], [low, low, low], [high, high, high], [low, high, high], [high, low, low]]
    F = torch.diag_embed(torch.tensor(repeated, dtype=torch.float64))
    results = law.energy(F), law.stress(F), law.tangent(F)
    wrong = sum(int((~result.isfinite()).sum()) for result in results)
    return MaterialCheck("finite derivatives", wrong, not wrong, True, "not finite, of repeated stretches")


def _growth(law: _Law) -> MaterialCheck:
    """Whether the energy rises all the way as a cell is flattened, shrunk, stretched or blown up."""
    t = torch.logspace(0, 1, 40, dtype=torch.float64)
    one = torch.ones_like(t)
    paths = [[1 / t, one, one], [1 / t, 1 / t, 1 / t], [t, one, one], [t, t, t]]
    rises = [law.energy(torch.diag_embed(torch.stack(path, -1))).diff(dim=-1) for path in paths]
    falls = sum(int((~(rise > 0)).sum()) for rise in rises)
    return MaterialCheck("growth", falls, not falls, True, "falls of the energy, stretches from 0.1 to 10")


def _slowest_waves(
    tangents: Float[Tensor, "n M 3 3 3 3"], normals: Float[Tensor, "d 3"]
) -> Float[Tensor, "n M d"]:
    """Return the smallest eigenvalue of acoustic tensors, Q_ik = A_ijkl N_j N_l."""
    acoustic = torch.einsum("nmijkl,dj,dl->nmdik", tangents, normals, normals)
    finite = acoustic.isfinite().all(-1).all(-1)
    least = torch.linalg.eigvalsh(acoustic.nan_to_num(0, 0, 0))[..., 0]
    return torch.where(finite, least, -math.inf)


def _strain_stiffness(tangent: Float[Tensor, "M 3 3 3 3"]) -> Float[Tensor, "M"]:
    """Return the smallest second derivative of the energy at rest along any strain of norm one."""
    symmetric = (tangent + tangent.transpose(-1, -2)) / 2
    symmetric = (symmetric + symmetric.transpose(-3, -4)) / 2
    matrices = symmetric.flatten(-2).flatten(-3, -2)
    # The three rotations, which have no stiffness, become as stiff as the stiffest strain.
    stiffest = matrices.abs().sum(-1).amax(-1)[..., None, None]
    finite = matrices.isfinite().all(-1).all(-1)
    d = torch.eye(3, dtype=tangent.dtype)
    skew = torch.einsum("ik,jl->ijkl", d, d) - torch.einsum("il,jk->ijkl", d, d)
    filled = matrices + 0.5 * stiffest * skew.reshape(9, 9)
    return torch.where(finite, torch.linalg.eigvalsh(filled.nan_to_num(0, 0, 0))[..., 0], -math.inf)


def _deformations(
    random: Callable[..., Tensor], count: int, stretches: tuple[float, float]
) -> Float[Tensor, "n 3 3"]:
    low, high = stretches
    # The extremes, and uniform numbers, from normal ones for one source of randomness.
    extremes = torch.ones(4, 3, dtype=torch.float64).tril(-1)
    fractions = torch.cat([extremes, torch.special.ndtr(random(count, 3))])[:count, None]
    U, V = _rotations(random(count, 3, 3)), _rotations(random(count, 3, 3))
    return (U * (low + (high - low) * fractions)) @ V


def _rotations(matrices: Float[Tensor, "n 3 3"]) -> Float[Tensor, "n 3 3"]:
    """Return a rotation for each matrix."""
    Q, _ = torch.linalg.qr(matrices)
    return Q * torch.linalg.det(Q)[:, None, None]


def _unit(vectors: Float[Tensor, "d 3"]) -> Float[Tensor, "d 3"]:
    return vectors / vectors.norm(dim=-1, keepdim=True)
