"""A material point: the stress of a homogeneous deformation, without a mesh."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.errors import ConvergenceError
from simlayer.forces.elastic import check_material, traced_energy_density
from simlayer.linalg.matrix3 import Matrix3
from simlayer.material_point.free_components import FreeComponents
from simlayer.material_point.paths import DeformationPath, checked_path
from simlayer.materials.base import Material
from simlayer.quantities.arguments import checked_flag
from simlayer.quantities.arrays import checked_floats, described
from simlayer.quantities.named import NamedTensors
from simlayer.quantities.physical_module import PhysicalModule

# A deformation without symmetry, and rotations of the rest shape: no isotropic energy changes by these.
_GENERIC = torch.tensor([[1.1, 0.1, -0.05], [0.08, 0.9, 0.03], [-0.02, 0.06, 1.05]], dtype=torch.float64)
_TURNS = (
    torch.eye(3, dtype=torch.float64),
    torch.eye(3, dtype=torch.float64)[[1, 2, 0]],
    torch.tensor([[2.0, -1.0, 2.0], [2.0, 2.0, -1.0], [-1.0, 2.0, 2.0]], dtype=torch.float64) / 3,
)
_EXACT = 1e-9


class PointResponse(NamedTuple):
    """The response of a material point along a path.

    Attributes:
        stress: the measured component of the nominal stress [Pa].
        deformation_gradient: F.
        nominal_stress: the first Piola-Kirchhoff stress P [Pa], force per area at rest.
        cauchy_stress: P Fᵀ / det F [Pa], force per area as it is.
    """

    stress: Float[Tensor, "*batch n"]
    deformation_gradient: Float[Tensor, "*batch n 3 3"]
    nominal_stress: Float[Tensor, "*batch n 3 3"]
    cauchy_stress: Float[Tensor, "*batch n 3 3"]


class MaterialPoint(nn.Module):
    """A material under a homogeneous deformation, as in a mechanical test.

    Called with stretches it returns the stresses, differentiable in these and in every quantity of the
    material. Components of F that are free have the values at which their nominal stress is zero.

    Args:
        material: any material; each of its quantities has one value, or one per sample, `(*batch, 1)`.
        incompressible: whether det F = 1 and the pressure follows from what is free; what the energy density
            says about changes of volume has no effect then. False: as compressible as the material is.

    Raises:
        ValueError: if a quantity has one value per cell.
    """

    def __init__(self, material: Material, *, incompressible: bool = False) -> None:
        super().__init__()
        check_material(material)
        for name, entry in NamedTensors(material).quantities.items():
            if (shape := tuple(entry.quantity.stored(entry.module).shape)) and shape[-1] != 1:
                raise ValueError(
                    f"{name} must have one value at a material point, or one per sample (*batch, 1), got "
                    f"shape {shape}."
                )
        self.material = material
        self.incompressible = checked_flag("incompressible", incompressible)
        self.density = traced_energy_density(material)

    def forward(
        self, stretch: Float[Tensor, "*#batch n"], path: str | DeformationPath = "uniaxial"
    ) -> PointResponse:
        """Return the stresses along a path.

        Args:
            stretch: the stretches, or the amounts of shear of `simple_shear`.
            path: "uniaxial", "equibiaxial", "planar", "simple_shear", or a path of one's own.

        Raises:
            ConvergenceError: if free components are not found at some stretch.
        """
        path = checked_path("path", path)
        stretch = checked_floats("stretch", stretch)
        if not stretch.ndim or not stretch.numel():
            raise ValueError(
                f"stretch must have an axis of stretches, (*batch, n), got {described(stretch)}."
            )
        F, P = self.stresses(stretch, path)
        stress = _points_last(P[3 * path.measured[0] + path.measured[1]])
        self._check_found(stress.detach(), stretch.detach(), path)
        cauchy = P @ F.T * (1 / F.det())
        matrices = (_points_last(torch.stack(A, -1), 1).unflatten(-1, (3, 3)) for A in (F, P, cauchy))
        return PointResponse(stress, *matrices)

    def stresses(self, stretch: Tensor, path: DeformationPath) -> tuple[Matrix3, Matrix3]:
        """Return F and the nominal stress [Pa] by components, `(n, *batch)`, NaN where they are not found."""
        material = self.material
        parts = [part for part in material.modules() if isinstance(part, PhysicalModule)]
        own = (getattr(part, name).ndim for part in parts for name in part.quantities())
        axes = max([stretch.ndim, *own]) - 1
        coefficients = self.density.coefficients(material, axes)
        stretch = stretch.to(next(material.parameters())).movedim(-1, 0)
        stretch = stretch.reshape(len(stretch), *[1] * (axes - stretch.ndim + 1), *stretch.shape[1:])
        free = [3 * row + column for row, column in path.free]
        if self.incompressible and not free:
            raise ValueError(
                f"the path {path.name!r} must have a free component for the pressure of an incompressible "
                "material, got none; set incompressible=False, or give one."
            )
        inputs = (*path.components(stretch), *coefficients)
        if self.incompressible and path.exact and self._is_isotropic(coefficients):
            free = free[-1:]
        solver = FreeComponents(self.density, free, incompressible=self.incompressible)
        x = solver(*inputs) if solver.sought else None
        F, P = solver.stress(x, *inputs)
        with (
            torch.no_grad()
        ):  # Beyond where a law locks, its derivatives may be numbers, and its energy none.
            defined = self.density.value(coefficients, F).isfinite()
        return Matrix3(*(part.expand(defined.shape) for part in F)), Matrix3(
            *(torch.where(defined, part, torch.nan) for part in P)
        )

    @torch.no_grad()
    def _is_isotropic(self, coefficients: list[Tensor]) -> bool:
        """Whether rotations of the rest shape leave the energy density as it is."""
        points = torch.stack([_GENERIC @ turn for turn in _TURNS]).reshape(-1, 9).unbind(1)
        shared = self.density.shared
        values = [c.detach().double().cpu() for c in coefficients]
        values[shared:] = [c[:1] if c.ndim else c for c in values[shared:]]
        axes = max([1, *(c.ndim for c in values[shared:])])
        energy = self.density.value(values, [p.reshape(-1, *[1] * (axes - 1)) for p in points])
        return bool(((energy - energy[:1]).abs() <= _EXACT * energy.abs()).all())

    def _check_found(self, stress: Tensor, stretch: Tensor, path: DeformationPath) -> None:
        """Raise ConvergenceError, naming the first stretch at which there is no stress."""
        missing = ~stress.isfinite()
        if not bool(missing.any()):
            return
        index = tuple(missing.nonzero()[0].tolist())
        at = float(stretch.expand(stress.shape)[index])
        parts = ", ".join(f"F{row + 1}{column + 1}" for row, column in path.free)
        raise ConvergenceError(
            f"{type(self.material).__name__} has no finite stress at {path.name} stretch {at:g}"
            + (f", or none for which {parts} are free of stress" if parts else "")
            + ". Check its quantities, how far its formula holds, and that stretches are no strains.",
            sample=index[:-1],
        )


def _points_last(tensor: Tensor, own: int = 0) -> Tensor:
    """Move the first axis behind those of the batch, before the tensor's own."""
    return tensor.movedim(0, -1 - own)
