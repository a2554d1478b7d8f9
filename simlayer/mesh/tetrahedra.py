"""Cells of several shapes as tetrahedra, cut alike on either side of every face.

A four-sided face is cut along the diagonal from its vertex of the lowest number, which does not depend on the
cell that looks at it (Dompierre, Labbé, Vallet and Camarero 1999, "How to Subdivide Pyramids, Prisms and
Hexahedra into Tetrahedra"). A cell is then the union of tetrahedra from its own lowest vertex to the
triangles of the faces that do not have it: 2 for a pyramid, 3 for a wedge, 6 for a hexahedron.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.elements.types import ELEMENT_TYPES
from simlayer.mesh.cell_shapes import CellShape
from simlayer.mesh.geometry import row_keys, signed_volumes

Rows = Int[Tensor, "K"]


class Tetrahedra(NamedTuple):
    """Tetrahedra in place of other cells, linear or quadratic as these.

    Attributes:
        cells: their nodes; those from N on are new.
        parents: the cell that each is a part of, all blocks counted together.
        points: the places of new nodes, in the middle of faces and cells [m].
        corners: of the face or cell that a new node is in the middle of, with repetitions.
    """

    cells: Int[Tensor, "M C"]
    parents: Int[Tensor, "M"]
    points: Float[Tensor, "A 3"]
    corners: Int[Tensor, "A 8"]


def tetrahedra(
    blocks: Sequence[tuple[CellShape, Int[Tensor, "_ _"]]],
    vertices: Float[Tensor, "N 3"],
    numbers: Int[Tensor, "N"],
) -> Tetrahedra:
    """Cut all cells of some blocks, of linear or of quadratic cells, into tetrahedra.

    Cells that are inside out become upright tetrahedra. Curved edges stay curved; of a quadratic cell, the
    middles of diagonals lie in the middles of its faces, by the shape functions of its edges' nodes.

    Args:
        blocks: shapes and the nodes of their cells.
        vertices: the places of all nodes [m].
        numbers: of the nodes, by which diagonals are chosen; nodes that will be one have the same.
    """
    new = _Middles(vertices, numbers)
    found, parents, start = list[Tensor](), list[Tensor](), 0
    for shape, cells in blocks:
        rows, corners = _cut(shape, numbers[cells[:, : shape.corners]])
        upright = _upright(vertices, cells, rows, corners)
        nodes = new.extended(shape, cells) if shape.is_quadratic else cells
        found.append(nodes[rows[:, None], _nodes(shape, upright)])
        parents.append(rows + start)
        start += len(cells)
    cut, points, ancestors = new.used(torch.cat(found))
    return Tetrahedra(cut, torch.cat(parents), points, ancestors)


def _cut(shape: CellShape, numbers: Int[Tensor, "M V"]) -> tuple[Rows, Int[Tensor, "K 4"]]:
    """Return the cell of each tetrahedron, in their order, and its four of the cell's corners."""
    if shape.corners == 4:
        return torch.arange(len(numbers)), torch.arange(4).repeat(len(numbers), 1)
    rows, corners = zip(*_parts(shape, numbers), strict=True)
    order = torch.cat(rows).argsort(stable=True)
    return torch.cat(rows)[order], torch.cat(corners)[order]


def _parts(shape: CellShape, numbers: Int[Tensor, "M V"]) -> Iterator[tuple[Rows, Int[Tensor, "K 4"]]]:
    lowest = numbers.argmin(1)
    for apex, face in product(range(shape.corners), shape.faces):
        if apex in face:
            continue
        rows = (lowest == apex).nonzero().flatten()
        # From either end of a diagonal, the triangles are the same two.
        turn = numbers[rows][:, list(face)].argmin(1) % 2 if len(face) == 4 else torch.zeros_like(rows)
        for first in (0, 1):
            turned = (face * 2)[first : first + len(face)]
            for triangle in ((0, 1, 2), (0, 2, 3))[: len(face) - 2]:
                corners = torch.tensor([apex, *(turned[k] for k in triangle)])
                some = rows[turn == first]
                yield some, corners.expand(len(some), -1)


def _upright(
    vertices: Float[Tensor, "N 3"], cells: Int[Tensor, "M C"], rows: Rows, corners: Int[Tensor, "K 4"]
) -> Int[Tensor, "K 4"]:
    """Return the corners, those of cells of negative volume in the order that turns them."""
    volumes = signed_volumes(vertices, cells[rows[:, None], corners])
    inside_out = volumes.new_zeros(len(cells)).index_add(0, rows, volumes) < 0
    return torch.where(inside_out[rows][:, None], corners[:, [0, 1, 3, 2]], corners)


def _nodes(shape: CellShape, corners: Int[Tensor, "K 4"]) -> Int[Tensor, "K C"]:
    """Return the columns of the nodes of tetrahedra: their corners, and the middles of edges if quadratic."""
    if not shape.is_quadratic:
        return corners
    first = shape.corners + len(shape.edges)
    quads = [face for face in shape.faces if len(face) == 4]
    # What is neither an edge nor the diagonal of a face goes through the middle of a hexahedron.
    table = torch.full((shape.corners, shape.corners), first + len(quads))
    pairs = [(*ends[:2], shape.corners + k) for k, ends in enumerate(shape.edges)]
    pairs += [(face[i], face[i + 2], first + k) for k, face in enumerate(quads) for i in (0, 1)]
    for a, b, column in pairs:
        table[a, b] = table[b, a] = column
    edges = torch.tensor(ELEMENT_TYPES["tet4"].edges)
    return torch.cat([corners, table[corners[:, edges[:, 0]], corners[:, edges[:, 1]]]], 1)


class _Middles:
    """New nodes in the middles of faces, one for all cells that share it, and of cells."""

    def __init__(self, vertices: Float[Tensor, "N 3"], numbers: Int[Tensor, "N"]) -> None:
        self.vertices, self.numbers = vertices, numbers
        self.points, self.corners = list[Tensor](), list[Tensor]()
        self.count = len(vertices)

    def extended(self, shape: CellShape, cells: Int[Tensor, "M C"]) -> Int[Tensor, "M E"]:
        """Return the nodes of cells with all middles of four-sided faces, then that of each hexahedron."""
        middle = {frozenset(ends[:2]): shape.corners + k for k, ends in enumerate(shape.edges)}
        quads = [face for face in shape.faces if len(face) == 4]
        first = shape.corners + len(shape.edges)
        columns = [cells[:, : first + shape.centred]]
        for face in quads[shape.centred :]:
            sides = [middle[frozenset(side)] for side in zip(face, face[1:] + face[:1], strict=True)]
            columns.append(self._added(cells[:, list(face)], cells[:, sides]))
        if shape.corners == 8:
            ends = cells[:, :8], cells[:, 8:20]
            columns.append(cells[:, 26:27] if shape.has_middle else self._added(*ends))
        return torch.cat(columns, 1)

    def _added(self, corners: Int[Tensor, "M V"], middles: Int[Tensor, "M E"]) -> Int[Tensor, "M 1"]:
        # Serendipity functions of a square and of a cube in their centre: those of corners are -1/4.
        share = 1 / 2 if corners.shape[1] == 4 else 1 / 4
        places = share * self.vertices[middles].sum(1) - self.vertices[corners].sum(1) / 4
        self.points.append(places)
        self.corners.append(corners.repeat(1, 8 // corners.shape[1]))
        self.count += len(corners)
        return torch.arange(self.count - len(corners), self.count)[:, None]

    def used(
        self, cells: Int[Tensor, "M C"]
    ) -> tuple[Int[Tensor, "M C"], Float[Tensor, "A 3"], Int[Tensor, "A 8"]]:
        """Return cells with one node for each face, and the places and corners of the nodes that they use."""
        old = len(self.vertices)
        if self.count == old:
            return cells, self.vertices[:0], cells.new_zeros(0, 8)
        corners, points = torch.cat(self.corners), torch.cat(self.points)
        keys = row_keys(self.numbers[corners], len(self.numbers))
        _, place = keys.unique(return_inverse=True)
        first = torch.full((len(place),), len(place)).scatter_reduce(
            0, place, torch.arange(len(place)), "amin"
        )[place]
        cells = torch.cat([torch.arange(old), old + first])[cells]
        used = cells[cells >= old].unique() - old
        index = torch.arange(self.count)
        index[old + used] = old + torch.arange(len(used))
        return index[cells], points[used], corners[used]
