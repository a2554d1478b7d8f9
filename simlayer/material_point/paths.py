"""The deformations of mechanical tests, as deformation gradients over a stretch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from simlayer.linalg.matrix3 import Matrix3
from simlayer.quantities.arguments import checked_choice, checked_flag, checked_number, checked_several
from simlayer.quantities.arguments import checked_integer as integer
from simlayer.quantities.arrays import described
from simlayer.quantities.objects import checked_function, checked_instance, checked_text

Component = tuple[int, int]


@dataclass(frozen=True)
class DeformationPath:
    """The homogeneous deformations of a test: given components of F, and free ones without nominal stress.

    Args:
        name: for messages and pictures.
        gradient: maps stretches to the nine components of F, row by row, by elementwise operations of torch.
            Those of free components are where the search for them starts.
        free: the free components, as (row, column) from 0. An incompressible material needs one at least,
            whose cofactor is not zero; the last one follows from det F = 1 and gives the pressure.
        measured: the component of the nominal stress that the test measures.
        rest: the stretch at rest; 0 for a path over a strain.
        exact: whether `gradient` is the whole solution for every material that is isotropic and
            incompressible, so that nothing is searched for.
    """

    name: str
    gradient: Callable[[Tensor], Sequence[Tensor]]
    free: tuple[Component, ...] = ()
    measured: Component = (0, 0)
    rest: float = 1.0
    exact: bool = False

    def __post_init__(self) -> None:
        checked_text("name", self.name)
        checked_function("gradient", self.gradient, arguments=1)
        if not isinstance(self.free, Sequence) or isinstance(self.free, str):
            raise TypeError(
                f"free must be a sequence of components (row, column), got {described(self.free)}."
            )
        for name, component in [
            *((f"free[{k}]", c) for k, c in enumerate(self.free)),
            ("measured", self.measured),
        ]:
            checked_several(name, component, 2, integer, least=0, most=2)
        if len(set(self.free)) < len(self.free) or self.measured in self.free:
            raise ValueError(
                f"free must be different components without the measured one, {self.measured}, got "
                f"{self.free}."
            )
        object.__setattr__(self, "rest", checked_number("rest", self.rest))
        checked_flag("exact", self.exact)

    @cached_property
    def along_axes(self) -> bool:
        """Whether F has nothing off its diagonal, and no derivatives there."""
        # At rest, a shear has none either.
        F = self.components(self.rest + torch.tensor([-0.3, 0.1, 1.0], dtype=torch.float64))
        return not any(bool(F[k].any()) for k in (1, 2, 3, 5, 6, 7))

    def components(self, stretch: Tensor) -> Matrix3:
        """Return F for stretches of any shape, its free components where their search starts.

        Raises:
            ValueError: if `gradient` does not return nine tensors of that shape.
        """
        found = self.gradient(stretch)
        if not isinstance(found, Sequence) or len(found) != 9:
            raise ValueError(
                f"gradient of the path {self.name!r} must return nine components of F, row by row, got "
                f"{described(found)}."
            )
        parts = [torch.as_tensor(part, dtype=stretch.dtype, device=stretch.device) for part in found]
        if wrong := [part.shape for part in parts if part.shape not in (stretch.shape, ())]:
            raise ValueError(
                f"gradient of the path {self.name!r} must return components of the shape of its stretches, "
                f"{tuple(stretch.shape)}, got one of shape {tuple(wrong[0])}."
            )
        return Matrix3(*(part.expand(stretch.shape) for part in parts))


def _diagonal(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    zero = torch.zeros_like(a)
    return (a, zero, zero, zero, b, zero, zero, zero, c)


def _uniaxial(stretch: Tensor) -> tuple[Tensor, ...]:
    across = stretch**-0.5
    return _diagonal(stretch, across, across)


def _equibiaxial(stretch: Tensor) -> tuple[Tensor, ...]:
    return _diagonal(stretch, stretch, stretch**-2)


def _planar(stretch: Tensor) -> tuple[Tensor, ...]:
    return _diagonal(stretch, torch.ones_like(stretch), 1 / stretch)


def _simple_shear(shear: Tensor) -> tuple[Tensor, ...]:
    zero, one = torch.zeros_like(shear), torch.ones_like(shear)
    return (one, shear, zero, zero, one, zero, zero, zero, one)


# Free shears matter to anisotropic materials. With zeros below the diagonal there is no rotation among them.
_OUT_OF_PLANE = ((0, 2), (1, 2), (2, 2))

# The standard tests by name. Between the plates of `simple_shear` the third direction is free of stress.
PATHS = {
    path.name: path
    for path in (
        DeformationPath("uniaxial", _uniaxial, ((0, 1), (1, 1), *_OUT_OF_PLANE), exact=True),
        DeformationPath("equibiaxial", _equibiaxial, _OUT_OF_PLANE, exact=True),
        DeformationPath("planar", _planar, _OUT_OF_PLANE, exact=True),
        DeformationPath("simple_shear", _simple_shear, ((2, 2),), (0, 1), rest=0.0, exact=True),
    )
}


def checked_path(name: str, value: Any) -> DeformationPath:
    """Return a deformation path: itself, or that of a standard test by its name.

    Raises:
        TypeError: if the value is neither.
        ValueError: if no standard test has that name, with the nearest one.
    """
    if isinstance(value, str):
        return PATHS[checked_choice(name, value, list(PATHS))]
    return checked_instance(name, value, DeformationPath, example="'uniaxial'")
