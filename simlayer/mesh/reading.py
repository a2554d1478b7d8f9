"""Reading bodies from mesh files."""

import os
import warnings

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.elements.types import element_of
from simlayer.mesh.geometry import signed_volumes
from simlayer.mesh.mesh import Mesh, MeshError
from simlayer.mesh.pieces import merged_vertices, warn_of_pieces
from simlayer.mesh.sharing import check_sides
from simlayer.mesh.validation import LENGTHS, SourceNumbering, check_values, offenders
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.objects import checked_path


def read_mesh(path: str | os.PathLike[str], *, scale: float = 1.0, merge: float | None = None) -> Mesh:
    """Read a body from a file of tetrahedra or hexahedra: Gmsh, VTK, VTU, Medit, TetGen, Abaqus, XDMF.

    Cells are of one kind, linear or quadratic: tetra, tetra10, hexahedron or hexahedron20 in meshio's words.

    `scale` turns the file's unit of length into m (1e-3 for mm). Nodes within `merge` [m] of each other
    become one, the first of them; pieces that no vertex joins are warned of. Names become vertex sets and
    regions, as `simlayer.mesh.tags` lists. Vertices and cells are in the file's order. Inverted cells are
    turned, with a warning; so are nodes that no cell uses dropped, after which `mesh.file_index` says which
    node each vertex is. Errors cite the file's ids where it has them, else count from 0 in its order.
    """
    # Imported here because meshio would be a quarter of the time that `import simlayer` takes beyond torch.
    from simlayer.mesh.ids import file_ids
    from simlayer.mesh.meshio_files import file_points, load, solids
    from simlayer.mesh.tags import cell_regions, named_groups, vertex_sets

    scale = checked_number("scale", scale, unit="m (1e-3 for a file in mm)", **LENGTHS)
    path = checked_path("path", path)
    file = load(path)
    nodes = torch.from_numpy(file_points(file, path)) * scale
    cells = torch.from_numpy(solids(file, path))
    node_ids, cell_ids = file_ids(file, len(nodes), len(cells))
    numbering = SourceNumbering(str(path), node_ids, cell_ids)
    check_values(nodes, cells, numbering)
    kept = torch.arange(len(nodes)) if merge is None else merged_vertices(nodes, cells, merge, numbering)
    cells = _oriented(nodes, kept[cells], numbering)
    used = _used(kept, cells, numbering)
    warn_of_pieces(nodes, cells, numbering)
    vertex_of_node = torch.full((len(nodes),), -1).index_copy(0, used, torch.arange(len(used)))
    groups = named_groups(file, path)
    regions, names = cell_regions(file, groups)
    return Mesh(
        nodes[used],
        vertex_of_node[cells],
        vertex_sets=_of_vertices(vertex_sets(file, groups), vertex_of_node[kept], str(path)),
        cell_regions=torch.from_numpy(regions),
        region_names=names,
        file_vertices=nodes,
        file_index=used,
        vertex_ids=node_ids[used],
        cell_ids=cell_ids,
        source=str(path),
    )


def _oriented(
    nodes: Float[Tensor, "N_file 3"], cells: Int[Tensor, "M C"], numbering: SourceNumbering
) -> Int[Tensor, "M C"]:
    inverted = signed_volumes(nodes, cells) < 0
    if not inverted.any():
        return cells
    order = list(element_of(cells).inversion_order)
    turned = torch.where(inverted[:, None], cells[:, order], cells)
    check_sides(turned, len(nodes), numbering)
    warnings.warn(
        f"{numbering.source}: turned inverted cells, {offenders(inverted, numbering.cells)}, "
        f"by taking their nodes in the order {order}.",
        stacklevel=3,
    )
    return turned


def _used(
    kept: Int[Tensor, "N_file"], cells: Int[Tensor, "M C"], numbering: SourceNumbering
) -> Int[Tensor, "N"]:
    used = torch.zeros(len(kept), dtype=torch.bool)
    used[cells] = True
    if not used[kept].all():
        dropped = offenders(~used[kept], numbering.vertices)
        warnings.warn(f"{numbering.source}: dropped nodes that no cell uses, {dropped}.", stacklevel=3)
    return used.nonzero().flatten()


def _of_vertices(
    sets: dict[str, Int[np.ndarray, "_"]], vertex_of_node: Int[Tensor, "N_file"], source: str
) -> dict[str, Int[Tensor, "_"]]:
    found = {}
    for name, nodes in sets.items():
        if len(nodes) and not (nodes[0] >= 0 and nodes[-1] < len(vertex_of_node)):
            raise MeshError(
                f"{source}: vertex set {name!r} must hold node indices in [0, {len(vertex_of_node)}), "
                f"got {nodes[0]} to {nodes[-1]}."
            )
        vertices = vertex_of_node[torch.from_numpy(nodes)]
        found[name] = vertices[vertices >= 0]
        if len(found[name]) == 0:
            warnings.warn(f"{source}: vertex set {name!r} has no vertex of a cell.", stacklevel=3)
    return found
