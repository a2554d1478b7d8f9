"""Reading bodies from mesh files."""

import os
import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.elements.types import element_of
from simlayer.mesh.geometry import signed_volumes
from simlayer.mesh.label_image import is_image, read_image
from simlayer.mesh.mesh import Mesh, MeshError
from simlayer.mesh.pieces import merged_vertices, warn_of_pieces
from simlayer.mesh.sharing import check_sides
from simlayer.mesh.validation import LENGTHS, SourceNumbering, check_values, offenders
from simlayer.quantities.arguments import checked_flag, checked_number
from simlayer.quantities.objects import checked_path


def read_mesh(
    path: str | os.PathLike[str],
    *,
    scale: float = 1.0,
    merge: float | None = None,
    tetrahedra: bool = False,
    edge_length: float | None = None,
) -> Mesh:
    """Read a body from a file of cells: Gmsh, VTK, VTU, Medit, MED, TetGen, Abaqus, Nastran, XDMF.

    Cells of one kind stay as they are, linear or quadratic: tetra, tetra10, hexahedron or hexahedron20 in
    meshio's words. Those of several kinds, pyramids and wedges become tetrahedra that fit together
    (`simlayer.mesh.tetrahedra`), with a warning: linear ones of the corners, or quadratic ones, if all cells
    are quadratic. Regions and vertex sets stay, and `cell_ids` count the tetrahedra from 0.

    An image of VTK (.vti, or .vtk with STRUCTURED_POINTS) becomes a hexahedron for each voxel whose label is
    not 0; `read_image` has more arguments.

    A surface (.stl, .obj, .ply, .off), of a scan or from CAD, is filled with tetrahedra where an
    `edge_length` is given. It may have holes, which are closed, and intersect itself. This needs the extra
    `solid`.

    Names become vertex sets and regions, as `simlayer.mesh.tags` lists. Vertices and cells are in the file's
    order. Inverted cells are turned, with a warning; so are nodes that no cell uses dropped, after which
    `mesh.file_index` says which node each vertex is. Errors cite the file's ids where it has them, else count
    from 0 in its order.

    Args:
        path: of the file.
        scale: turns the file's unit of length into m (1e-3 for mm).
        merge: the distance within which nodes become one, the first of them [m]. Pieces that no vertex joins
            are warned of.
        tetrahedra: whether hexahedra, too, become tetrahedra, and others without a warning.
        edge_length: of the tetrahedra inside of a surface [m]. It is kept to a 20th of that.

    Raises:
        ImportError: for a surface, without pytetwild.
        MeshError: for a file that cannot be read, or holds no body.
    """
    # Imported here because meshio would be a quarter of the time that `import simlayer` takes beyond torch.
    from simlayer.mesh.ids import file_ids
    from simlayer.mesh.meshio_files import file_points, load, solids
    from simlayer.mesh.mixed_cells import as_tetrahedra, must_be_cut
    from simlayer.mesh.tags import cell_regions, named_groups, vertex_sets

    scale = checked_number("scale", scale, unit="m (1e-3 for a file in mm)", **LENGTHS)
    tetrahedra = checked_flag("tetrahedra", tetrahedra)
    path = checked_path("path", path)
    if mesh := _without_cells(path, scale, edge_length, cell_options=bool(merge or tetrahedra)):
        return mesh
    file = load(path)
    nodes = torch.from_numpy(file_points(file, path)) * scale
    numbering = SourceNumbering(str(path), *file_ids(file, len(nodes)))
    cut = None
    if must_be_cut(file, path, wanted=tetrahedra):
        cut = as_tetrahedra(file, nodes, merge, numbering)
        file, nodes, numbering = cut.file, cut.nodes, cut.numbering(numbering)
    cells = solids(file, path)
    check_values(nodes, cells, numbering)
    kept = torch.arange(len(nodes)) if merge is None else merged_vertices(nodes, cells, merge, numbering)
    cells = _oriented(nodes, kept[cells], numbering)
    used = _used(kept, cells, numbering)
    warn_of_pieces(nodes, cells, numbering)
    vertex_of_node = torch.full((len(nodes),), -1).index_copy(0, used, torch.arange(len(used)))
    groups = named_groups(file, path)
    regions, names = cell_regions(file, groups)
    sets = vertex_sets(file, groups)
    if cut:
        sets = {name: cut.grown(found) for name, found in sets.items()}
    return Mesh(
        nodes[used],
        vertex_of_node[cells],
        vertex_sets=_of_vertices(sets, vertex_of_node[kept], str(path)),
        cell_regions=torch.from_numpy(regions),
        region_names=names,
        file_vertices=nodes,
        file_index=used,
        vertex_ids=numbering.vertices[used],
        cell_ids=torch.arange(len(cells)) if cut else numbering.cells,
        source=str(path),
    )


def _without_cells(path: Path, scale: float, edge_length: float | None, *, cell_options: bool) -> Mesh | None:
    """Return the body of an image or of a surface; None for other files."""
    from simlayer.mesh.filled_surface import fill_surface
    from simlayer.mesh.surface_files import is_surface

    image, filled = path.is_file() and is_image(path), edge_length is not None
    if filled and (image or not is_surface(path)):
        raise MeshError(f"{path}: edge_length is for surfaces (.stl, .obj, .ply, .off); leave it out.")
    if (image or filled) and cell_options:
        what = "an image becomes hexahedra" if image else "a surface is filled with tetrahedra"
        raise MeshError(f"{path}: merge and tetrahedra are for files of cells; leave them out, {what}.")
    if edge_length is not None:
        return fill_surface(path, scale=scale, edge_length=edge_length)
    return read_image(path, scale=scale).mesh() if image else None


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
