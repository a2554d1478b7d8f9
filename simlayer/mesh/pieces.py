"""Pieces of a mesh that no vertex joins, and vertices that coincide and should be one."""

import warnings

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.mesh.faces import cell_faces, face_owners
from simlayer.mesh.geometry import longest_edges
from simlayer.mesh.validation import MeshError, SourceNumbering, offenders
from simlayer.quantities.arguments import checked_number

# Vertices that are closer than this part of an edge are meant to be one.
_COINCIDENT = 1e-6


def piece_of_vertices(cells: Int[Tensor, "M C"], vertex_count: int) -> Int[Tensor, "N"]:
    """Return the number of the piece that each vertex belongs to, counted from 0 in their order."""
    links = torch.stack([cells[:, :1].expand(-1, cells.shape[1] - 1), cells[:, 1:]], -1).flatten(0, 1)
    return _groups(links, vertex_count)


def coincident(vertices: Float[Tensor, "N 3"], tolerance: float) -> Int[Tensor, "N"]:
    """Return the first of the vertices that are within `tolerance` [m] of each one, directly or by others."""
    tolerance = checked_number("merge", tolerance, above=0.0, unit="m")
    group = _groups(_close(vertices, tolerance), len(vertices))
    count = torch.full((int(group.max()) + 1,), len(vertices))
    return count.scatter_reduce(0, group, torch.arange(len(vertices)), "amin")[group]


def merged_vertices(
    vertices: Float[Tensor, "N 3"], cells: Int[Tensor, "M C"], tolerance: float, numbering: SourceNumbering
) -> Int[Tensor, "N"]:
    """Return the vertex that each one becomes where those within `tolerance` [m] are one: the first of them.

    Raises:
        TypeError, ValueError: if `tolerance` is not a positive number.
        MeshError: if vertices of one cell would become one.
    """
    first = coincident(vertices, tolerance)
    corners = first[cells].sort(1).values
    collapsed = (corners[:, 1:] == corners[:, :-1]).any(1)
    if collapsed.any():
        raise MeshError(
            f"{numbering.source}: merge={tolerance:g} m would make nodes of one cell coincide, in cells "
            f"{offenders(collapsed, numbering.cells)}; take less than the distance of any two."
        )
    return first


def warn_of_pieces(
    vertices: Float[Tensor, "N 3"], cells: Int[Tensor, "M C"], numbering: SourceNumbering
) -> None:
    """Warn if vertices on the surface coincide, and if the mesh is in pieces, named by their first cells."""
    piece = piece_of_vertices(cells, len(vertices))[cells[:, 0]]
    numbers, sizes = piece.unique(return_counts=True)
    surface = cell_faces(cells)[face_owners(cells, len(vertices)) == 1].unique()
    distance = _COINCIDENT * float(longest_edges(vertices, cells).median())
    pairs = surface[_close(vertices[surface], distance)]
    message = ""
    if len(numbers) > 1:
        firsts = [int(numbering.cells[(piece == number).nonzero()[0, 0]]) for number in numbers[:5]]
        named = zip(sizes.tolist(), firsts, strict=False)
        parts = ", ".join(f"{size} from cell {first} on" for size, first in named)
        more = ", ..." if len(numbers) > len(firsts) else ""
        message = f"the cells are in {len(numbers)} pieces that no vertex joins: {parts}{more}"
    if len(pairs):
        both = ", ".join(f"{a} and {b}" for a, b in numbering.vertices[pairs[:5]].tolist())
        more = ", ..." if len(pairs) > 5 else ""
        coincident = f"{len(pairs)} pairs of vertices coincide without being one ({both}{more})"
        remedy = f"read_mesh(..., merge={2 * distance:.1g}) makes each pair one"
        message = f"{message}; {coincident}; {remedy}" if message else f"{coincident}; {remedy}"
    if message:
        warnings.warn(f"{numbering.source}: {message}.", stacklevel=3)


def _close(vertices: Float[Tensor, "N 3"], distance: float) -> Int[Tensor, "P 2"]:
    """Return the pairs of vertices that are at most this far from each other."""
    # Imported here because `import simlayer` would take longer.
    from scipy.spatial import cKDTree

    pairs = cKDTree(vertices.numpy()).query_pairs(distance, output_type="ndarray")
    return torch.from_numpy(pairs[pairs[:, 0].argsort(kind="stable")].astype("int64")).view(-1, 2)


def _groups(links: Int[Tensor, "L 2"], count: int) -> Int[Tensor, "N"]:
    """Return the number of the group of each of `count` things that links join."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = links.cpu().numpy()
    ones = torch.ones(len(links), dtype=torch.bool).numpy()
    graph = coo_array((ones, (ends[:, 0], ends[:, 1])), shape=(count, count)).tocsr()
    group = torch.from_numpy(connected_components(graph, directed=False)[1].astype("int64"))
    return group.to(links.device)
