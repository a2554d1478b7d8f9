"""Meshes of boxes and balls."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.elements.types import ELEMENT_TYPES
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.subdivision import cut
from simlayer.mesh.validation import LENGTHS, MeshError
from simlayer.quantities.arguments import checked_integer, checked_number, checked_several
from simlayer.quantities.arrays import described

# Boxes whose count is one of memory.
_BOXES = {"least": 1, "most": 1_000_000}


def grid_points(cells: Sequence[int], size: Sequence[float], origin: Sequence[float]) -> Float[Tensor, "N 3"]:
    """Return the corners of the boxes [m], x varying slowest; the last lie exactly on the far faces."""
    axes = [
        start + torch.arange(n + 1, dtype=torch.float64) / n * length
        for n, length, start in zip(cells, size, origin, strict=True)
    ]
    return torch.cartesian_prod(*axes)


def kuhn_tetrahedra(cells: Sequence[int]) -> Int[Tensor, "M 4"]:
    """Return six tetrahedra per box, around its diagonal from the lowest to the highest corner, all positive.

    Each walks from one end of the diagonal to the other along the three axes, in one of the six orders. All
    boxes are cut alike, so opposite faces carry the same diagonal and neighbours fit (H. W. Kuhn 1960).
    """
    lowest, strides = _lowest_corners(cells)
    paths = []
    for order in permutations(range(3)):
        corners = [0]
        for axis in order:
            corners.append(corners[-1] + int(strides[axis]))
        # An odd order of the axes is left-handed: swapping two corners makes its volume positive.
        odd = order in ((0, 2, 1), (1, 0, 2), (2, 1, 0))
        paths.append([corners[0], corners[2], corners[1], corners[3]] if odd else corners)
    return (lowest[:, None, None] + torch.tensor(paths)).flatten(0, 1)


def hexahedra(cells: Sequence[int]) -> Int[Tensor, "M 8"]:
    """Return the boxes as hexahedra, with corners in the order of VTK."""
    lowest, strides = _lowest_corners(cells)
    return lowest[:, None] + torch.tensor(ELEMENT_TYPES["hex8"].shape.nodes).long() @ strides


def _lowest_corners(cells: Sequence[int]) -> tuple[Int[Tensor, "B"], Int[Tensor, "3"]]:
    """The lowest corner of each box, and what a step along each axis adds to the index of a corner."""
    _, ny, nz = cells
    strides = torch.tensor(((ny + 1) * (nz + 1), nz + 1, 1))
    return torch.cartesian_prod(*map(torch.arange, cells)) @ strides, strides


def box_cells(
    element: str, cells: Sequence[int], points: Float[Tensor, "N 3"]
) -> tuple[Float[Tensor, "N_all 3"], Int[Tensor, "M C"]]:
    """Return vertices and cells of this element; any middles of edges come after the points."""
    if not isinstance(element, str) or element not in ELEMENT_TYPES:
        raise MeshError(f"element must be one of {tuple(ELEMENT_TYPES)}, got {described(element)}.")
    kind = ELEMENT_TYPES[element]
    linear = kuhn_tetrahedra(cells) if kind.is_simplex else hexahedra(cells)
    if kind.num_nodes == kind.num_corners:
        return points, linear
    nodes = torch.tensor(kind.shape.nodes, dtype=torch.float64)[None]
    return cut(points, linear, nodes)[:2]


def box_sides(points: Float[Tensor, "N 3"]) -> dict[str, Int[Tensor, "_"]]:
    """Return the points on each of the six sides: x_min, x_max, y_min, y_max, z_min, z_max."""
    lower, upper = points.aminmax(dim=0)
    sides = {}
    for axis, name in enumerate("xyz"):
        sides[f"{name}_min"] = (points[:, axis] == lower[axis]).nonzero().flatten()
        sides[f"{name}_max"] = (points[:, axis] == upper[axis]).nonzero().flatten()
    return sides


def box_mesh(
    *,
    cells: Sequence[int],
    size: Sequence[float] = (1.0, 1.0, 1.0),
    origin: Sequence[float] = (0.0, 0.0, 0.0),
    element: str = "tet4",
) -> Mesh:
    """Mesh a box of cells[0] x cells[1] x cells[2] boxes; `size` and `origin` in m.

    Each box is a cell of "hex8" or "hex20", or cut into six of "tet4" or "tet10". The vertex sets are the
    sides: x_min, x_max, y_min, y_max, z_min, z_max. Vertices count along z first; middles of edges come last.

    Raises:
        TypeError, ValueError: for a count, a size or an origin that is none.
        MeshError: for an unknown element.
    """
    cells = checked_several("cells", cells, 3, checked_integer, **_BOXES)
    size = checked_several("size", size, 3, checked_number, unit="m", **LENGTHS)
    origin = checked_several("origin", origin, 3, checked_number, unit="m")
    points, corners = box_cells(element, cells, grid_points(cells, size, origin))
    return Mesh(points, corners, vertex_sets=box_sides(points), source="box")


# The edges of the cube become flat, where cells with curved edges would be folded.
_STRAIGHT = ("tet4", "hex8")


def ball_mesh(
    cells: int, *, radius: float, center: Sequence[float] = (0.0, 0.0, 0.0), element: str = "tet4"
) -> Mesh:
    """Mesh a ball as the image of a cube, whose cells keep a fair shape on coarse meshes.

    Args:
        cells: boxes along each edge of the cube.
        radius: of the sphere on which all vertices of the surface lie [m].
        center: [m].
        element: "tet4" or "hex8"; `to_quadratic_elements` makes quadratic ones of them, with straight edges.

    Raises:
        TypeError, ValueError: for a count, a radius or a center that is none.
        MeshError: for an unknown element.
    """
    if not isinstance(element, str) or element not in _STRAIGHT:
        raise MeshError(
            f"element must be one of {_STRAIGHT}, got {described(element)}; "
            "to_quadratic_elements(...) refines these."
        )
    radius = checked_number("radius", radius, unit="m", **LENGTHS)
    center = checked_several("center", center, 3, checked_number, unit="m")
    cube = box_mesh(cells=(cells,) * 3, size=(2.0, 2.0, 2.0), origin=(-1.0, -1.0, -1.0), element=element)
    vertices = radius * _rounded(cube.vertices.double()) + torch.tensor(center, dtype=torch.float64)
    return Mesh(vertices, cube.cells, source="ball_mesh")


def _rounded(x: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
    """Map the cube from -1 to 1 onto the unit ball, its surface onto the sphere."""
    squares = x.square()
    a, b = squares.roll(1, 1), squares.roll(2, 1)
    return x * (1 - a / 2 - b / 2 + a * b / 3).sqrt()
