"""A material point: the stress of a homogeneous deformation, without a mesh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.errors import ConvergenceError
from simlayer.forces.elastic import check_material
from simlayer.linalg.matrix3 import Matrix3
from simlayer.material_point.paths import DeformationPath, checked_path
from simlayer.material_point.traced_law import GeneralLaw, PrincipalLaw, TracedLaw
from simlayer.materials.base import Material
from simlayer.quantities.arguments import checked_flag
from simlayer.quantities.arrays import checked_floats, described
from simlayer.quantities.named import NamedTensors
from simlayer.quantities.physical_module import PhysicalModule


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
        self._principal = PrincipalLaw.of(material) if self.incompressible else None
        self._general: GeneralLaw | None = None
        if self._principal is None:
            self._law(along_axes=False)

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
        ((F, P),) = self.stresses([stretch], [path])
        stress = _points_last(P[3 * path.measured[0] + path.measured[1]])
        self._check_found(stress.detach(), stretch.detach(), path)
        cauchy = P @ F.T * (1 / F.det())
        matrices = (_points_last(torch.stack(A, -1), 1).unflatten(-1, (3, 3)) for A in (F, P, cauchy))
        return PointResponse(stress, *matrices)

    def stresses(
        self, stretches: Sequence[Tensor], paths: Sequence[DeformationPath]
    ) -> list[tuple[Matrix3, Matrix3]]:
        """Return F and the nominal stress [Pa] along several paths, `(n, *batch)`, NaN where there is none.

        All are computed at once, as far as they leave the same components free. The quantities of the
        material may have a value for each of the stretches, one path after another.
        """
        parts = [part for part in self.material.modules() if isinstance(part, PhysicalModule)]
        own = (getattr(part, name).ndim for part in parts for name in part.quantities())
        axes = max([*(stretch.ndim for stretch in stretches), *own]) - 1
        like = next(self.material.parameters())
        starts = [
            path.components(_points_first(stretch.to(like), axes))
            for stretch, path in zip(stretches, paths, strict=True)
        ]
        law = self._law(all(path.exact and path.along_axes for path in paths))
        coefficients = law.energy.coefficients(self.material, axes)
        isotropic = self.incompressible and law.is_isotropic(coefficients)
        places = torch.arange(sum(len(F.xx) for F in starts)).split([len(F.xx) for F in starts])
        groups: dict[tuple[int, ...], list[int]] = {}
        for k, path in enumerate(paths):
            groups.setdefault(self._free(path, isotropic), []).append(k)
        found: dict[int, tuple[Matrix3, Matrix3]] = {}
        for free, members in groups.items():
            start = Matrix3(
                *(torch.cat(columns) for columns in zip(*(starts[k] for k in members), strict=True))
            )
            at = None if len(groups) == 1 else torch.cat([places[k] for k in members])
            sizes = [len(places[k]) for k in members]
            F, P = (
                zip(*(part.split(sizes) for part in A), strict=True)
                for A in law.stress(start, free, _at(coefficients, at, law.energy.shared))
            )
            for k, f, p in zip(members, F, P, strict=True):
                found[k] = Matrix3(*f), Matrix3(*p)
        return [found[k] for k in range(len(paths))]

    def _law(self, along_axes: bool) -> TracedLaw:
        """Return the traced law. Where principal stretches are enough, that of all F is not traced."""
        if along_axes and self._principal is not None:
            return self._principal
        if self._general is None:
            self._general = GeneralLaw(self.material, incompressible=self.incompressible)
        return self._general

    def _free(self, path: DeformationPath, isotropic: bool) -> tuple[int, ...]:
        """Return the free components that must be searched for, by their places in the nine."""
        free = tuple(3 * row + column for row, column in path.free)
        if self.incompressible and not free:
            raise ValueError(
                f"the path {path.name!r} must have a free component for the pressure of an incompressible "
                "material, got none; set incompressible=False, or give one."
            )
        return free[-1:] if isotropic and path.exact else free

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


def _at(coefficients: list[Tensor], places: Tensor | None, shared: int) -> list[Tensor]:
    """Return the coefficients of some points; so many of the first are those of all."""
    return [
        c if places is None or k < shared or c.ndim == 0 or len(c) == 1 else c[places]
        for k, c in enumerate(coefficients)
    ]


def _points_first(stretch: Tensor, batch_axes: int) -> Tensor:
    """Return stretches `(*batch, n)` as `(n, *batch)` with so many axes of a batch."""
    first = stretch.movedim(-1, 0)
    return first.reshape(len(first), *[1] * (batch_axes + 1 - first.ndim), *first.shape[1:])


def _points_last(tensor: Tensor, own: int = 0) -> Tensor:
    """Move the first axis behind those of the batch, before the tensor's own."""
    return tensor.movedim(0, -1 - own)
