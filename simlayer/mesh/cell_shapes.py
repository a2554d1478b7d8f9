"""The shapes of cells in mesh files: corners, edges and outward faces, in the order of meshio."""

from __future__ import annotations

from typing import NamedTuple

from simlayer.elements.types import ELEMENT_TYPES, Rows


class CellShape(NamedTuple):
    """A cell in a file: its corners come first, then nodes on all edges, on faces, and in the middle.

    Attributes:
        corners: how many there are.
        edges: the two ends of each edge, in the order of the nodes in their middles.
        faces: the corners of each face, anticlockwise seen from outside.
        centred: how many of the faces, the first ones, have a node in the middle.
        is_quadratic: whether edges have a node in the middle.
        has_middle: whether the cell has a node in its middle.
    """

    corners: int
    edges: Rows
    faces: Rows
    centred: int = 0
    is_quadratic: bool = False
    has_middle: bool = False

    @property
    def num_nodes(self) -> int:
        """The number of all nodes."""
        return self.corners + len(self.edges) * self.is_quadratic + self.centred + self.has_middle


def _of(name: str) -> CellShape:
    element = ELEMENT_TYPES[name]
    return CellShape(element.num_corners, element.edges, element.faces)


_TETRAHEDRON, _HEXAHEDRON = _of("tet4"), _of("hex8")
_PYRAMID = CellShape(
    5,
    ((0, 1), (1, 2), (2, 3), (3, 0), (0, 4), (1, 4), (2, 4), (3, 4)),
    ((0, 3, 2, 1), (0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4)),
)
_WEDGE = CellShape(
    6,
    ((0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3), (0, 3), (1, 4), (2, 5)),
    ((0, 1, 4, 3), (1, 2, 5, 4), (2, 0, 3, 5), (0, 2, 1), (3, 4, 5)),
)

# By meshio's names. Wedges of VTK's own files are inside out here, which their volume tells.
CELL_SHAPES = {
    "tetra": _TETRAHEDRON,
    "pyramid": _PYRAMID,
    "wedge": _WEDGE,
    "hexahedron": _HEXAHEDRON,
    "tetra10": _TETRAHEDRON._replace(is_quadratic=True),
    "pyramid13": _PYRAMID._replace(is_quadratic=True),
    "pyramid14": _PYRAMID._replace(is_quadratic=True, centred=1),
    "wedge15": _WEDGE._replace(is_quadratic=True),
    "wedge18": _WEDGE._replace(is_quadratic=True, centred=3),
    "hexahedron20": _HEXAHEDRON._replace(is_quadratic=True),
    "hexahedron27": _HEXAHEDRON._replace(is_quadratic=True, centred=6, has_middle=True),
}
