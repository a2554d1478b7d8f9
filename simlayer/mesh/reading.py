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
from simlayer.mesh.tags import cell_regions, vertex_sets, warn_of_unread_names
from simlayer.mesh.validation import SourceNumbering, check_values, offenders


def read_mesh(path: str | os.PathLike[str], *, scale: float = 1.0) -> Mesh:
    """Read a body from a file of tetrahedra or hexahedra: Gmsh, VTK, VTU, Medit, TetGen, Abaqus, XDMF.

    Cells are of one kind, linear or quadratic: tetra, tetra10, hexahedron or hexahedron20 in meshio's words.

    `scale` turns the file's unit of length into m (1e-3 for mm). Names become vertex sets and regions, as
    `simlayer.mesh.tags` lists. Inverted cells are turned and unused nodes dropped, with a warning. Vertices
    and cells are renumbered for speed (`from_file_order`, `to_file_order`). Errors count from 0, in the
    order of the file.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise MeshError(f"scale must be positive and finite (1e-3 for a file in mm), got {scale}.")
    path = Path(path)
    file = load(path)
    nodes = torch.from_numpy(file_points(file, path)) * scale
    cells = torch.from_numpy(solids(file, path))
    numbering = SourceNumbering(str(path), torch.arange(len(nodes)), torch.arange(len(cells)))
    check_values(nodes, cells, numbering)
    cells = _oriented(nodes, cells, numbering)
    vertices = _used(nodes, cells, str(path))
    vertices = vertices[vertex_order(inverse_order(vertices, len(nodes))[cells], len(vertices))]
    new_index = inverse_order(vertices, len(nodes))
    order = cell_order(new_index[cells])
    warn_of_unread_names(file, path)
    regions, names = cell_regions(file)
    return Mesh(
        nodes[vertices],
        new_index[cells[order]],
        vertex_sets=_renumbered(vertex_sets(file), new_index, str(path)),
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
    warnings.warn(
        f"{numbering.source}: turned inverted cells, {offenders(inverted, numbering.cells)}, "
        f"by taking their nodes in the order {order}.",
        stacklevel=3,
    )
    return torch.where(inverted[:, None], cells[:, order], cells)


def _used(nodes: Float[Tensor, "N_file 3"], cells: Int[Tensor, "M C"], source: str) -> Int[Tensor, "N"]:
    used = torch.zeros(len(nodes), dtype=torch.bool)
    used[cells] = True
    if not used.all():
        dropped = offenders(~used, torch.arange(len(nodes)))
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
