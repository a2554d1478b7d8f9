"""Balls, made of boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.mesh import Mesh, MeshError, box_mesh

# The edges of the cube become flat, where cells with curved edges would be folded.
_STRAIGHT = ("tet4", "hex8")


def ball_mesh(
    cells: int, *, radius: float, center: Sequence[float] = (0.0, 0.0, 0.0), element: str = "tet4"
) -> Mesh:
    """A ball: the image of a cube, whose cells keep a fair shape on coarse meshes.

    Args:
        cells: boxes along each edge of the cube.
        radius: of the sphere on which all vertices of the surface lie [m].
        center: [m].
        element: "tet4" or "hex8"; `quadratic` makes quadratic ones of them, with straight edges.

    Raises:
        MeshError: for a count, a radius, a center or an element that is none of these.
    """
    if element not in _STRAIGHT:
        raise MeshError(f"element must be one of {_STRAIGHT}, got {element!r}; quadratic(...) refines these.")
    if not 0 < radius < math.inf:
        raise MeshError(f"radius must be a positive finite length in m, got {radius}.")
    if len(center) != 3 or not all(math.isfinite(coordinate) for coordinate in center):
        raise MeshError(f"center must be three finite coordinates in m, got {tuple(center)}.")
    cube = box_mesh(cells=(cells,) * 3, size=(2.0, 2.0, 2.0), origin=(-1.0, -1.0, -1.0), element=element)
    vertices = radius * _rounded(cube.vertices.double()) + torch.tensor(center, dtype=torch.float64)
    return Mesh(vertices, cube.cells, source="ball_mesh")


def _rounded(x: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
    """The cube from -1 to 1 mapped onto the unit ball, its surface onto the sphere."""
    squares = x.square()
    a, b = squares.roll(1, 1), squares.roll(2, 1)
    return x * (1 - a / 2 - b / 2 + a * b / 3).sqrt()
