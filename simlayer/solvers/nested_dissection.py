"""Nested dissection: an order of elimination that keeps the factors of a sparse matrix small."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse
from scipy.sparse.csgraph import maximum_bipartite_matching

# Levels of the Morton code.
_BITS = 10


class Part(NamedTuple):
    """Vertices that are eliminated together, after those of the parts which they separate.

    Attributes:
        vertices: of the part.
        children: the places of these parts in the list of all.
    """

    vertices: Int[np.ndarray, "_"]
    children: list[int]


def nested_dissection(
    graph: sparse.csr_matrix, points: Float[np.ndarray, "N d"], *, largest: int
) -> list[Part]:
    """Return the parts of a graph in the order of their elimination (George 1973).

    The vertices are bisected across the principal axis of their points; the fewest vertices that meet all
    edges in between separate the halves, which are bisected in turn.

    Args:
        graph: the symmetric adjacency of N vertices.
        points: where they are, in a space in which neighbours are near each other.
        largest: parts of at most this many vertices are not bisected.
    """
    parts: list[Part] = []

    def visit(vertices: np.ndarray, own: sparse.csr_matrix) -> list[int]:
        """Add the parts of a subgraph; return the places of those that no other part of it separates."""
        halves = _halves(points[vertices]) if len(vertices) > largest else None
        if halves is None:
            parts.append(Part(vertices, []))
            return [len(parts) - 1]
        covers = _vertex_cover(own[halves[0]][:, halves[1]])
        roots: list[int] = []
        for half, cover in zip(halves, covers, strict=True):
            rest = half[~cover]
            roots += visit(vertices[rest], own[rest][:, rest]) if len(rest) else []
        separator = vertices[np.concatenate([half[c] for half, c in zip(halves, covers, strict=True)])]
        if not len(separator):
            return roots
        # What a part of the rest touches of the separator is near together: so it is in this order.
        parts.append(Part(separator[np.argsort(_morton_code(points[separator]), kind="stable")], roots))
        return [len(parts) - 1]

    if graph.shape[0]:
        visit(np.arange(graph.shape[0]), graph)
    return parts


def _halves(points: Float[np.ndarray, "n d"]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the points on each side of the plane across their principal axis, None if they are all one."""
    arms = points - points.mean(0)
    along = arms @ np.linalg.eigh(arms.T @ arms)[1][:, -1]
    # Points in one plane stay together, whatever their rounding.
    middle, rounding = np.median(along), 1e-9 * np.ptp(along)
    beyond = along > middle + rounding
    if not beyond.any():  # most are in the last plane
        beyond = along > middle - rounding
    divides = beyond.any() and not beyond.all()
    return (np.flatnonzero(~beyond), np.flatnonzero(beyond)) if divides else None


def _vertex_cover(
    edges: sparse.csr_matrix,
) -> tuple[Bool[np.ndarray, "rows"], Bool[np.ndarray, "columns"]]:
    """Return the fewest rows and columns that meet all entries of a matrix (König 1931)."""
    partner = maximum_bipartite_matching(edges, perm_type="column")
    matched = np.flatnonzero(partner >= 0)
    partner_of_column = np.full(edges.shape[1], -1)
    partner_of_column[partner[matched]] = matched
    met = np.diff(edges.indptr) > 0
    # All that alternating paths reach from rows without a partner.
    rows, columns = met & (partner < 0), np.zeros(edges.shape[1], bool)
    found, transposed = rows, edges.T.astype(np.int32)
    while found.any():
        new = (transposed @ found.astype(np.int32) > 0) & ~columns
        columns |= new
        following = partner_of_column[new]
        found = np.zeros_like(rows)
        found[following[following >= 0]] = True
        found &= ~rows
        rows |= found
    return met & ~rows, columns


def _morton_code(points: Float[np.ndarray, "n d"]) -> Int[np.ndarray, "n"]:
    """Return numbers in whose order near points are near (Morton 1966)."""
    places = points - points.min(0)
    places = (places / max(float(places.max()), np.finfo(float).tiny) * (2**_BITS - 1)).astype(np.int64)
    code = np.zeros(len(points), np.int64)
    for bit in reversed(range(_BITS)):
        for place in places.T:
            code = 2 * code + (place >> bit & 1)
    return code
