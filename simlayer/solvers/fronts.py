"""The fronts of a sparsity pattern: what multifrontal factors of it have in common."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from scipy import sparse

from simlayer.solvers.nested_dissection import Part, nested_dissection
from simlayer.solvers.sparsity import SparsityPattern

# Vertices of a front without children: fewer make more fronts, each with its overhead, more make more work.
_LARGEST_LEAF = 60

# Whether into the panel of the parent, rather than into its update; into which entries; from which.
Transfer = tuple[bool, tuple[slice, slice], tuple[slice, slice]]


class Front(NamedTuple):
    """A dense part of the elimination; unknowns are counted in the order of elimination.

    Attributes:
        start, stop: of the unknowns that it eliminates.
        boundary: later unknowns that these are coupled with, ascending.
        children: the fronts whose updates it takes.
        transfers: how its own update is added to its parent, in blocks.
        first: where its panel, `(height, width)`, begins in the storage of the factor.
        scratch: where its update begins in the workspace.
    """

    start: int
    stop: int
    boundary: Int[np.ndarray, "_"]
    children: list[int]
    transfers: list[Transfer]
    first: int
    scratch: int

    @property
    def width(self) -> int:
        """The number of unknowns that it eliminates."""
        return self.stop - self.start

    @property
    def height(self) -> int:
        """The number of rows of its panel."""
        return self.width + len(self.boundary)


class FrontTree:
    """The fronts of the free unknowns of a pattern; rows and columns of the identity take no part.

    Attributes:
        fronts: each after its children.
        components: which component, 3 * vertex + axis, each unknown is.
        sources, targets: places of the blocks' entries, and where these go in the storage of a factor.
        entries: the size of this storage.
        workspace: the size of the workspace of an elimination.
        operations: floating-point operations of an elimination, two for a multiplication with its addition.
    """

    def __init__(self, pattern: SparsityPattern) -> None:
        free = pattern.free.cpu().numpy()
        vertices = np.flatnonzero(free.any(1))
        starts, columns = pattern.starts.cpu().numpy(), pattern.columns.cpu().numpy()
        graph = sparse.csr_matrix((np.ones(len(columns), np.int8), columns, starts))[vertices][:, vertices]
        parts = nested_dissection(graph, pattern.points[vertices], largest=_LARGEST_LEAF)
        order = np.concatenate([part.vertices for part in parts]) if parts else np.arange(0)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        counts = free[vertices[order]].sum(1)
        offsets = np.concatenate([[0], counts.cumsum()])
        self.components = (3 * vertices[order][:, None] + np.arange(3))[free[vertices[order]]]
        boundaries = [_expanded(b, offsets) for b in _boundaries(parts, graph, rank)]
        stops = offsets[np.cumsum([len(part.vertices) for part in parts], dtype=int)].tolist()
        self._build(parts, boundaries, stops)
        self._place(free, starts, columns)

    def _build(self, parts: list[Part], boundaries: list[np.ndarray], stops: list[int]) -> None:
        starts = [0, *stops][:-1]
        parents = {child: k for k, part in enumerate(parts) for child in part.children}
        places = _Workspace()
        self.fronts: list[Front] = []
        self.entries = 0
        self.operations = 0.0
        for k, (part, start, stop, boundary) in enumerate(zip(parts, starts, stops, boundaries, strict=True)):
            scratch = places.reserve(k, len(boundary) ** 2)
            for child in part.children:
                places.release(child)
            transfers: list[Transfer] = []
            if k in parents:
                parent = parents[k]
                transfers = _transfers(boundary, starts[parent], stops[parent], boundaries[parent])
            front = Front(start, stop, boundary, part.children, transfers, self.entries, scratch)
            self.fronts.append(front)
            width, size = front.width, len(boundary)
            self.entries += front.height * width
            self.operations += width**3 / 3 + width**2 * size + width * size**2
        self.workspace = places.size

    def _place(self, free: np.ndarray, starts: np.ndarray, columns: np.ndarray) -> None:
        """Find where the entries of the lower triangle are, and where they go."""
        unknown = np.full((len(free), 3), -1)
        unknown.reshape(-1)[self.components] = np.arange(len(self.components))
        rows = np.repeat(np.arange(len(free)), np.diff(starts))
        last = unknown.max(1)
        # On the diagonal the whole block is taken: nothing reads above it.
        blocks = np.flatnonzero((last[rows] >= last[columns]) & (last[columns] >= 0))
        front_of = np.repeat(np.arange(len(self.fronts)), [front.width for front in self.fronts])
        owner = front_of[last[columns[blocks]]]
        by_front = np.argsort(owner, kind="stable")
        blocks, owner = blocks[by_front], owner[by_front]
        i, j = np.broadcast_arrays(unknown[rows[blocks]][:, :, None], unknown[columns[blocks]][:, None])
        kept = (i >= 0) & (j >= 0)
        self.sources = (9 * blocks[:, None, None] + np.arange(9).reshape(3, 3))[kept]
        i, j, owner = i[kept], j[kept], np.broadcast_to(owner[:, None, None], kept.shape)[kept]
        self.targets = np.empty_like(self.sources)
        cuts = np.searchsorted(owner, np.arange(len(self.fronts) + 1)).tolist()
        for front, begin, end in zip(self.fronts, cuts[:-1], cuts[1:], strict=True):
            row = _rows(i[begin:end], front.start, front.stop, front.boundary)
            self.targets[begin:end] = front.first + row * front.width + j[begin:end] - front.start


class _Workspace:
    """Places in one array for updates, each free again when its parent has taken it."""

    def __init__(self) -> None:
        self.size = 0
        self._used: dict[int, tuple[int, int]] = {}

    def reserve(self, key: int, size: int) -> int:
        place = 0
        for begin, end in sorted(self._used.values()):
            if place + size <= begin:
                break
            place = max(place, end)
        self._used[key] = place, place + size
        self.size = max(self.size, place + size)
        return place

    def release(self, key: int) -> None:
        del self._used[key]


def _boundaries(parts: list[Part], graph: sparse.csr_matrix, rank: np.ndarray) -> list[np.ndarray]:
    """Return for each part the ranks of the later vertices that its elimination couples it with."""
    found: list[np.ndarray] = []
    stop = 0
    for part in parts:
        stop += len(part.vertices)
        near = [rank[graph[part.vertices].indices], *(found[child] for child in part.children)]
        ranks = np.unique(np.concatenate(near))
        found.append(ranks[ranks >= stop])
    return found


def _expanded(ranks: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the unknowns of vertices, given where those of each vertex begin."""
    counts = offsets[ranks + 1] - offsets[ranks]
    return np.repeat(offsets[ranks] - counts.cumsum() + counts, counts) + np.arange(counts.sum())


def _rows(unknowns: np.ndarray, start: int, stop: int, boundary: np.ndarray) -> np.ndarray:
    """Return the rows of unknowns in a front."""
    return np.where(unknowns < stop, unknowns - start, stop - start + np.searchsorted(boundary, unknowns))


def _transfers(child: np.ndarray, start: int, stop: int, boundary: np.ndarray) -> list[Transfer]:
    """Return the blocks of the lower triangle of a child's update that are contiguous in its parent too."""
    rows, width = _rows(child, start, stop, boundary), stop - start
    breaks = (np.diff(rows) != 1) | (rows[1:] == width)
    cuts = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(rows)] if len(rows) else []
    runs = [(slice(a, b), int(rows[a]), b - a) for a, b in pairwise(cuts)]
    found: list[Transfer] = []
    for k, (columns, left, wide) in enumerate(runs):
        in_panel = left < width
        shift = 0 if in_panel else width
        into = slice(left - shift, left - shift + wide)
        for out, top, high in runs[k:]:
            found.append((in_panel, (slice(top - shift, top - shift + high), into), (out, columns)))
    return found
