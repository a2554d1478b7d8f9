"""Mesh files of any format, through meshio, guarded against what meshio prints, drops or exits on."""

import re
import warnings
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import meshio
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.mesh.abaqus import read_abaqus
from simlayer.mesh.cell_shapes import CELL_SHAPES
from simlayer.mesh.gmsh_files import check_gmsh, order_like_vtk
from simlayer.mesh.nastran_files import check_cards, check_counts
from simlayer.mesh.validation import MeshError
from simlayer.mesh.vtk_files import all_cells, flatten_columns, turn_voxels
from simlayer.mesh.xdmf_files import read_xdmf

SURFACES_ONLY = (".ply", ".off", ".stl", ".obj", ".svg", ".wkt")
GOOD_FORMATS = (
    "Gmsh .msh (4.1 or 2.2), VTK .vtu or .vtk, Medit .mesh, TetGen .node/.ele, Abaqus .inp, XDMF .xdmf"
)
SOLIDS = ("tetra", "hexahedron", "wedge", "pyramid", "penta_prism", "hexa_prism", "polyhedron", "VTK_")

# The elements that meshes are made of, as meshio calls them. meshio's order of nodes is VTK's in all formats.
MESHIO_NAMES = {"tet4": "tetra", "tet10": "tetra10", "hex8": "hexahedron", "hex20": "hexahedron20"}

# What has no volume may be missing: several points, a chain of lines, strips, polygons, pixels.
VTK_SURFACES = {"2", "4", "6", "7", "8"}
NASTRAN = (".bdf", ".fem", ".nas")
TEXT_FORMATS = (".vtk", ".mesh", ".node", ".ele", ".inp", *NASTRAN)


def load(path: Path, *, surface: bool = False) -> meshio.Mesh:
    """Read a file through meshio; raises MeshError with everything that meshio had to say.

    Files that hold surfaces only are read where it is one that is wanted.
    """
    _check_path(path, surface)
    if path.suffix.lower() == ".inp":
        with all_cells():
            return read_abaqus(path)
    nastran = check_cards(path) if path.suffix.lower() in NASTRAN else None
    printed = StringIO()
    try:
        # meshio prints its reasons, then leaves the interpreter: both are caught. Text that ends too early is
        # only a deprecation to numpy, whose numbers so far would then be taken for the whole.
        with warnings.catch_warnings(), redirect_stdout(printed), redirect_stderr(printed):
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            # Of the letters of a text file of triangles, taken for their number before it is seen to be text.
            warnings.filterwarnings("ignore", "overflow encountered", category=RuntimeWarning)
            warnings.filterwarnings("error", "string or file could not be read to its end")
            file = _read(path)
    except UserWarning:
        raise  # Our own, where warnings are errors.
    except (Exception, SystemExit) as error:
        raise MeshError(_unreadable(path, printed.getvalue(), error)) from error
    said = " ".join(printed.getvalue().split())
    if set(re.findall(r"cannot handle \(type (\d+)\)", said)) - VTK_SURFACES:
        raise MeshError(_unreadable(path, said, None))
    if said:
        warnings.warn(f"{path}: meshio says: {said}", stacklevel=3)
    if nastran:
        check_counts(path, file, nastran)
    return file


def _read(path: Path) -> meshio.Mesh:
    suffix = path.suffix.lower()
    with path.open("rb") as stream:
        is_xml = stream.read(100).lstrip().startswith(b"<")
    with all_cells():
        if suffix in (".xdmf", ".xmf"):
            return read_xdmf(path)
        file = meshio.read(path, file_format="vtu" if is_xml and suffix == ".vtk" else None)
        if suffix == ".msh":
            order_like_vtk(file)
    turn_voxels(file)
    flatten_columns(file)
    return file


def _check_path(path: Path, surface: bool) -> None:
    if path.is_dir():
        raise MeshError(f"{path} is a folder; give the mesh file in it.")
    if not path.exists():
        raise MeshError(f"{path} does not exist (looked from {Path.cwd()}).")
    if path.stat().st_size == 0:
        raise MeshError(f"{path} is empty (0 bytes); write it again.")
    suffix = path.suffix.lower()
    if suffix in SURFACES_ONLY and not surface:
        raise MeshError(
            f"{path}: {suffix} files hold surfaces. read_mesh(path, edge_length=) fills one with tetrahedra "
            f"of that size [m]; or fill it elsewhere, and save as one of: {GOOD_FORMATS}."
        )
    content = path.read_bytes()
    if suffix == ".msh":
        check_gmsh(content, path)
    if suffix in TEXT_FORMATS and b"\0" not in content and not content.endswith(b"\n"):
        # Cut inside its last number, such a file is still one that can be read.
        warnings.warn(f"{path} does not end with a line break: it may be cut short.", stacklevel=4)
    if suffix in (".vtu", ".vtk") and content.count(b"<Piece") > 1:
        raise MeshError(
            f"{path} has several pieces, of which meshio keeps the last only; "
            "merge them (in ParaView: Merge Blocks)."
        )


def _unreadable(path: Path, printed: str, error: BaseException | None) -> str:
    if path.suffix.lower() == ".msh" and b"np.float" in path.read_bytes():
        return (
            f"{path}: its data fields read 'np.float64(...)', which meshio writes into ASCII Gmsh files with "
            "recent numpy. Write it as a binary file: mesh.write(path, file_format='gmsh', binary=True)."
        )
    if "'gmsh:physical'" in str(error):
        return (
            f"{path}: some entities are in a physical group and others are not, which meshio cannot "
            "read. Save the groups only (Gmsh: Mesh.SaveAll = 0), or add all entities to groups."
        )
    if isinstance(error, ModuleNotFoundError):
        return f"{path} could not be read without the package {error.name}: pip install {error.name}."
    kind = type(error).__name__
    reason = " ".join(printed.split()) or (f"{kind}: {error}" if str(error) else f"{kind} without a reason")
    return (
        f"{path} could not be read: {reason.rstrip('.')}. Is it complete, and what its extension says? "
        f"If so, save it as .vtu or Gmsh .msh 4.1. Formats known to work: {GOOD_FORMATS}."
    )


def file_points(file: meshio.Mesh, path: Path) -> Float[np.ndarray, "N_file 3"]:
    """Return the positions of all nodes, in the machine's byte order."""
    points = np.asarray(file.points)
    if points.ndim != 2 or points.shape[1] != 3:
        raise MeshError(f"{path}: nodes must have three coordinates, got an array of shape {points.shape}.")
    return np.ascontiguousarray(points, dtype=np.float64)


def counted(file: meshio.Mesh) -> str:
    """Return how many cells of each kind a file has: "1 hexahedron, 2 tetra"."""
    found: dict[str, int] = {}
    for block in file.cells:
        found[block.type] = found.get(block.type, 0) + len(block)
    return ", ".join(f"{count} {kind}" for kind, count in found.items()) or "no cells"


def solid_kinds(file: meshio.Mesh, path: Path) -> list[str]:
    """Return the kinds of the cells that have a volume; raises MeshError if there are none."""
    kinds = list(dict.fromkeys(block.type for block in file.cells if len(block)))
    solids = [kind for kind in kinds if kind.startswith(SOLIDS)]
    if not solids:
        raise MeshError(
            f"{path}: no tetrahedra or hexahedra, got {counted(file)}. A surface must be filled first "
            "(Gmsh, fTetWild); in Gmsh, add the volume to a physical group, or it is not saved."
        )
    return solids


def refusal(file: meshio.Mesh, path: Path) -> MeshError:
    """Return the error for cells that are neither of one kind nor of kinds that are cut into tetrahedra."""
    return MeshError(
        f"{path}: cells must be tetrahedra, pyramids, wedges or hexahedra, all linear (tetra, pyramid, "
        "wedge, hexahedron) or all quadratic (tetra10, pyramid13, wedge15, hexahedron20), got "
        f"{counted(file)}. Mesh the body with cells of one order (Gmsh: Mesh.ElementOrder = 1 or 2)."
    )


def nodes_of(file: meshio.Mesh, block: int, source: str) -> Int[Tensor, "M C"]:
    """Return the nodes of a block's cells; raises MeshError if a cell has another number of them."""
    kind, cells = file.cells[block].type, np.asarray(file.cells[block].data)
    nodes = CELL_SHAPES[kind].num_nodes
    if cells.shape[1:] != (nodes,):
        raise MeshError(
            f"{source}: a {kind} has {nodes} nodes, got cells of shape {cells.shape}. "
            f"Save as one of: {GOOD_FORMATS}."
        )
    return torch.from_numpy(np.ascontiguousarray(cells, dtype=np.int64))


def solids(file: meshio.Mesh, path: Path) -> Int[Tensor, "M C"]:
    """Return the nodes of the cells of all blocks, which are of one kind, in the file's order."""
    kinds = set(solid_kinds(file, path))
    return torch.cat(
        [nodes_of(file, k, str(path)) for k, block in enumerate(file.cells) if block.type in kinds]
    )
