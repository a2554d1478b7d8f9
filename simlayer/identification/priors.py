"""Priors: what is assumed of a field before any observation."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.mesh.faces import interior_faces
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arguments import checked_number, checked_parts
from simlayer.quantities.arrays import checked_floats, described
from simlayer.quantities.checked_module import CheckedModule, Option
from simlayer.quantities.objects import checked_instance, checked_text


def checked_priors(priors: Any) -> dict[str, nn.Module]:
    """Return priors by their names; raises TypeError unless each has the `name` of an unknown."""
    given = {} if priors is None else checked_parts("priors", priors, nn.Module, "SmoothnessPrior")
    for key, prior in given.items():
        if not isinstance(name := getattr(prior, "name", None), str):
            raise TypeError(
                f"priors[{key!r}] must have the attribute `name`, the name of the unknown whose stored value "
                f"it is called with, such as 'youngs_modulus'; that of {described(prior)} is {name!r}."
            )
    return given


class SmoothnessPrior(CheckedModule):
    """Penalizes jumps of a field between neighbouring cells, a sharp edge no more than a gradual rise.

    weight * L/V * sum over faces of A (sqrt(jump² + sharpness²) - sharpness), with the face's area A, the
    body's volume V and L = V^(1/3): the total variation of the stored (unconstrained) field, smoothed at
    zero. Jumps well below `sharpness` are penalized by their squares.

    Args:
        mesh: the body.
        name: the physical name of the field, with one value per cell.
        weight: relative to a loss whose unit is the body's motion.
        sharpness: the jump of the stored value that counts as an edge; for a logarithm, a relative jump.
    """

    weight = Option(checked_number, least=0.0)
    sharpness = Option(checked_number, above=0.0)
    cells: Tensor
    areas: Tensor

    def __init__(self, mesh: Mesh, name: str, *, weight: float, sharpness: float = 0.1) -> None:
        super().__init__()
        checked_instance("mesh", mesh, Mesh)
        self.name = checked_text("name", name)
        self.weight, self.sharpness = weight, sharpness
        cells, triangles = interior_faces(mesh.cells, len(mesh.vertices))
        a, b, c = mesh.vertices[triangles].unbind(1)
        areas = torch.linalg.cross(b - a, c - a).norm(dim=1) / 2
        volume = float(mesh.volume)
        self.register_buffer("cells", cells, persistent=False)
        self.register_buffer("areas", areas * volume ** (1 / 3) / volume, persistent=False)

    def forward(self, field: Float[Tensor, "..."]) -> Float[Tensor, ""]:
        count = int(self.cells.max()) + 1
        if checked_floats("field", field).shape != (count,):
            raise ValueError(
                f"a smoothness prior needs one value per cell of {self.name}, a field of shape ({count},), "
                f"got {described(field)}; name it in fields: ++fields.{self.name}=cells."
            )
        jumps = field[self.cells[:, 0]] - field[self.cells[:, 1]]
        edges = (jumps.square() + self.sharpness**2).sqrt() - self.sharpness
        return self.weight * (self.areas * edges).sum()

    def extra_repr(self) -> str:
        return f"{self.name}, weight = {self.weight:g}, sharpness = {self.sharpness:g}"
