"""The kinds of cells: nodes, edges and faces in the order of VTK and meshio, shape functions, quadrature."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from simlayer.elements.quadrature import (
    CENTRE,
    CUBE_5,
    TETRAHEDRON_2,
    TETRAHEDRON_3,
    TETRAHEDRON_5,
    TRIANGLE_2,
    TRIANGLE_4,
    QuadratureRule,
    gauss,
)
from simlayer.elements.shape_functions import Node, ShapeFunctions, serendipity_powers, simplex_powers

Rows = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Facet:
    """The face or the edge of a cell: its shape functions, and a rule exact for products of two of them.

    Attributes:
        triangles: that a face is cut into through all of its nodes; none for an edge.
    """

    shape: ShapeFunctions
    rule: QuadratureRule
    triangles: Rows = ()


@dataclass(frozen=True)
class ElementType:
    """A reference cell, in coordinates from 0 to 1.

    Attributes:
        shape: shape functions of all C nodes; the corners come first, then the middles of the edges.
        linear: shape functions of the corners alone.
        edges: nodes of each edge: its two ends, then its middle, if it is a node.
        faces: nodes of each face: corners, anticlockwise from outside, then the middles of its sides.
        rule: for the stiffness; a constant stress is in balance inside a body whose edges are straight.
        curved_rule: for the stiffness; a constant stress is in balance where edges are curved, too.
        mass_rule: exact for the volume, and for products of two shape functions where edges are straight.
        reduced_rule: for the stiffness, with the fewest points, see `FiniteElements`.
        inversion_order: an order of the nodes that turns a cell inside out.
    """

    name: str
    shape: ShapeFunctions
    linear: ShapeFunctions
    edges: Rows
    faces: Rows
    face: Facet
    edge: Facet
    rule: QuadratureRule
    curved_rule: QuadratureRule
    mass_rule: QuadratureRule
    inversion_order: tuple[int, ...]
    reduced_rule: QuadratureRule | None = None

    @property
    def num_nodes(self) -> int:
        """The number of all nodes, C."""
        return len(self.shape.nodes)

    @property
    def num_corners(self) -> int:
        """The number of nodes that are corners."""
        return len(self.linear.nodes)

    @property
    def is_simplex(self) -> bool:
        """Whether cells are tetrahedra."""
        return self.num_corners == 4

    @property
    def is_affine(self) -> bool:
        """Whether deformation gradients are the same everywhere in a cell."""
        return self.num_nodes == 4

    @property
    def volume_rule(self) -> QuadratureRule:
        """The cheapest rule that is exact for the volume of a cell."""
        return self.rule if self.num_nodes == self.num_corners else self.mass_rule

    @property
    def face_corners(self) -> int:
        """The number of corners of a face."""
        return 3 if self.is_simplex else 4


def element_of(cells: Int[Tensor, "M C"]) -> ElementType:
    """Return the element type of cells with this many nodes."""
    return BY_NODES[cells.shape[1]]


def _middle(a: Node, b: Node) -> Node:
    return tuple((x + y) / 2 for x, y in zip(a, b, strict=True))


def _nodes(corners: tuple[Node, ...], edges: Rows, degree: int) -> tuple[Node, ...]:
    return corners + tuple(_middle(corners[a], corners[b]) for a, b in edges) * (degree == 2)


def _cycle(face: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(zip(face, face[1:] + face[:1], strict=True))


_LINE: tuple[Node, ...] = ((0.0,), (1.0,))
_TRIANGLE: tuple[Node, ...] = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
_SQUARE: tuple[Node, ...] = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
_TETRAHEDRON: tuple[Node, ...] = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_CUBE: tuple[Node, ...] = tuple((*xy, z) for z in (0.0, 1.0) for xy in _SQUARE)

_TETRAHEDRON_EDGES: Rows = ((0, 1), (1, 2), (2, 0), (0, 3), (1, 3), (2, 3))
_CUBE_EDGES: Rows = (
    (0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7),
)  # fmt: skip
# Opposite to corner 0, 1, 2, 3.
_TETRAHEDRON_FACES: Rows = ((1, 2, 3), (0, 3, 2), (0, 1, 3), (0, 2, 1))
_CUBE_FACES: Rows = ((0, 4, 7, 3), (1, 2, 6, 5), (0, 1, 5, 4), (3, 7, 6, 2), (0, 3, 2, 1), (4, 5, 6, 7))

_FACE_TRIANGLES: dict[int, Rows] = {
    3: ((0, 1, 2),),
    6: ((0, 3, 5), (3, 1, 4), (5, 4, 2), (3, 4, 5)),
    4: ((0, 1, 2), (0, 2, 3)),
    8: ((0, 4, 7), (4, 1, 5), (5, 2, 6), (6, 3, 7), (4, 5, 6), (4, 6, 7)),
}


def _facet(corners: tuple[Node, ...], degree: int, rule: QuadratureRule) -> Facet:
    dimension = len(corners[0])
    sides = tuple(_cycle(tuple(range(len(corners))))) if dimension == 2 else ((0, 1),)
    nodes = _nodes(corners, sides, degree)
    powers = simplex_powers if len(corners) == dimension + 1 else serendipity_powers
    return Facet(ShapeFunctions(nodes, powers(dimension, degree)), rule, _FACE_TRIANGLES.get(len(nodes), ()))


def _element(
    name: str,
    degree: int,
    rule: QuadratureRule,
    curved_rule: QuadratureRule,
    mass_rule: QuadratureRule,
    face_rule: QuadratureRule,
    reduced_rule: QuadratureRule | None = None,
) -> ElementType:
    simplex = name.startswith("tet")
    corners = _TETRAHEDRON if simplex else _CUBE
    edges, faces = (_TETRAHEDRON_EDGES, _TETRAHEDRON_FACES) if simplex else (_CUBE_EDGES, _CUBE_FACES)
    inverted: tuple[int, ...] = (0, 1, 3, 2) if simplex else (4, 5, 6, 7, 0, 1, 2, 3)
    powers = simplex_powers if simplex else serendipity_powers
    shape = ShapeFunctions(_nodes(corners, edges, degree), powers(3, degree))
    if degree == 2:
        middle = {frozenset(edge): len(corners) + k for k, edge in enumerate(edges)}
        faces = tuple(face + tuple(middle[frozenset(side)] for side in _cycle(face)) for face in faces)
        inverted += tuple(middle[frozenset((inverted[a], inverted[b]))] for a, b in edges)
        edges = tuple((a, b, middle[frozenset((a, b))]) for a, b in edges)
    face = _facet(_TRIANGLE if simplex else _SQUARE, degree, face_rule)
    edge = _facet(_LINE, degree, gauss(1, degree + 1))
    linear = ShapeFunctions(corners, powers(3, 1))
    rules = rule, curved_rule, mass_rule
    return ElementType(name, shape, linear, edges, faces, face, edge, *rules, inverted, reduced_rule)


ELEMENT_TYPES = {
    element.name: element
    for element in (
        _element("tet4", 1, CENTRE, CENTRE, TETRAHEDRON_2, TRIANGLE_2),
        _element("tet10", 2, TETRAHEDRON_2, TETRAHEDRON_3, TETRAHEDRON_5, TRIANGLE_4, TETRAHEDRON_2),
        _element("hex8", 1, gauss(3, 2), gauss(3, 2), gauss(3, 3), gauss(2, 2)),
        _element("hex20", 2, CUBE_5, gauss(3, 3), gauss(3, 4), gauss(2, 3), gauss(3, 2)),
    )
}
BY_NODES = {element.num_nodes: element for element in ELEMENT_TYPES.values()}
