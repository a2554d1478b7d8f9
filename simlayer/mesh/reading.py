"""Reading bodies from mesh files."""

import math
import os
import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.elements.types import element_of
from simlayer.mesh.geometry import signed_volumes
from simlayer.mesh.mesh import Mesh, MeshError
from simlayer.mesh.meshio_files import file_points, load, solids
from simlayer.mesh.ordering import cell_order, inverse_order, vertex_order
from simlayer.mesh.pieces import merged_vertices, warn_of_pieces
from simlayer.mesh.sharing import check_sides
from simlayer.mesh.tags import cell_regions, named_groups, vertex_sets
from simlayer.mesh.validation import SourceNumbering, check_values, offenders


def read_mesh(path: str | os.PathLike[str], *, scale: float = 1.0, merge: float | None = None) -> Mesh:
    """Read a body from a file of tetrahedra or hexahedra: Gmsh, VTK, VTU, Medit, TetGen, Abaqus, XDMF.

    Cells are of one kind, linear or quadratic: tetra, tetra10, hexahedron or hexahedron20 in meshio's words.

    `scale` turns the file's unit of length into m (1e-3 for mm). Names become vertex sets and regions, as
    `simlayer.mesh.tags` lists. Inverted cells are turned and unused nodes dropped, with a warning. Vertices
    and cells are renumbered for speed (`from_file_order`, `to_file_order`). Errors count from 0, in the
    order of the file. Nodes within `merge` [m] of each other become one, the first of them; pieces that no
    vertex joins are warned of.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise MeshError(f"scale must be positive and finite (1e-3 for a file in mm), got {scale}.")
    path = Path(path)
    file = load(path)
    nodes = torch.from_numpy(file_points(file, path)) * scale
    cells = torch.from_numpy(solids(file, path))
    numbering = SourceNumbering(str(path), torch.arange(len(nodes)), torch.arange(len(cells)))
    check_values(nodes, cells, numbering)
    kept = torch.arange(len(nodes)) if merge is None else merged_vertices(nodes, cells, merge, str(path))
    cells = _oriented(nodes, kept[cells], numbering)
    vertices = _used(kept, cells, str(path))
    warn_of_pieces(nodes, cells, numbering)
    vertices = vertices[vertex_order(inverse_order(vertices, len(nodes))[cells], len(vertices))]
    new_index = inverse_order(vertices, len(nodes))
    order = cell_order(new_index[cells])
    groups = named_groups(file, path)
    regions, names = cell_regions(file, groups)
    return Mesh(
        nodes[vertices],
        new_index[cells[order]],
        vertex_sets=_renumbered(vertex_sets(file, groups), new_index[kept], str(path)),
        cell_regions=torch.from_numpy(regions)[order],
        region_names=names,
        file_vertices=nodes,
        file_index=vertices,
        file_cell_index=order,
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


def _used(kept: Int[Tensor, "N_file"], cells: Int[Tensor, "M C"], source: str) -> Int[Tensor, "N"]:
    used = torch.zeros(len(kept), dtype=torch.bool)
    used[cells] = True
    if not used[kept].all():
        dropped = offenders(~used[kept], torch.arange(len(kept)))
        warnings.warn(f"{source}: dropped nodes that no cell uses, {dropped}.", stacklevel=3)
    return used.nonzero().flatten()


def _renumbered(
    sets: dict[str, Int[np.ndarray, "_"]], new_index: Int[Tensor, "N_file"], source: str
) -> dict[str, Int[Tensor, "_"]]:
    renumbered = {}
    for name, nodes in sets.items():
        if len(nodes) and not (nodes[0] >= 0 and nodes[-1] < len(new_index)):
            raise MeshError(
                f"{source}: vertex set {name!r} must hold node indices in [0, {len(new_index)}), "
                f"got {nodes[0]} to {nodes[-1]}."
            )
        vertices = new_index[torch.from_numpy(nodes)]
        renumbered[name] = vertices[vertices >= 0]
        if len(renumbered[name]) == 0:
            warnings.warn(f"{source}: vertex set {name!r} has no vertex of a cell.", stacklevel=3)
    return renumbered
