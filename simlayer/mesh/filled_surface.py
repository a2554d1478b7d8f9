"""Bodies from surfaces: tetrahedra inside of a scan or of a part from CAD, with holes and all.

fTetWild (Hu, Schneider, Wang, Zorin and Panozzo 2020, "Fast Tetrahedral Meshing in the Wild") fills whatever
triangles there are: holes are closed, self-intersections united. TetGen refuses those.
"""

from __future__ import annotations

import warnings
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from jaxtyping import Float, Int

from simlayer.mesh.geometry import signed_volumes
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.pieces import warn_of_pieces
from simlayer.mesh.surface_files import implausible, read_surface
from simlayer.mesh.validation import MeshError, SourceNumbering
from simlayer.quantities.arguments import checked_number

# The surface of the body lies within this part of an edge of the given one.
_TOLERANCE = 1 / 20
# More edges than that along a body are hours of work, and rather a mistake of units.
_MOST_EDGES = 1000


def fill_surface(path: Path, *, scale: float, edge_length: float) -> Mesh:
    """Return tetrahedra with edges of about this length [m] inside of the surface in a file.

    Raises:
        ImportError: without pytetwild.
        MeshError: for a file without triangles, or from which no body comes out.
    """
    edge_length = checked_number("edge_length", edge_length, above=0.0, unit="m")
    points, triangles = read_surface(path)
    if not len(triangles):
        raise MeshError(f"{path} has {len(points)} points and no triangles; make a surface of them first.")
    points = points * scale
    extents = np.ptp(points[triangles.ravel()], axis=0)
    _check_size(path, float(extents.max()), edge_length)
    nodes, cells = _filled(points, _outward(points, triangles), edge_length, float(np.linalg.norm(extents)))
    vertices, tetrahedra = torch.from_numpy(nodes), torch.from_numpy(cells.astype(np.int64))
    if not len(tetrahedra):
        raise MeshError(
            f"{path}: nothing is inside of its {len(triangles)} triangles: more of the surface is missing "
            "than can be closed. Scan the rest, or close it in the scanner's program."
        )
    inverted = signed_volumes(vertices, tetrahedra) < 0
    tetrahedra[inverted] = tetrahedra[inverted][:, [0, 1, 3, 2]]
    used, tetrahedra = tetrahedra.unique(return_inverse=True)
    numbering = SourceNumbering(str(path), torch.arange(len(used)), torch.arange(len(tetrahedra)))
    warn_of_pieces(vertices[used], tetrahedra, numbering)
    return Mesh(vertices[used], tetrahedra, source=str(path))


def _check_size(path: Path, extent: float, edge_length: float) -> None:
    said = implausible(extent)
    if not extent / _MOST_EDGES <= edge_length < extent:
        raise MeshError(
            f"{path}: edge_length must be a small part of the largest extent, {extent:.4g} m, at least a "
            f"{_MOST_EDGES}th, got {edge_length:.4g} m."
            + (f" The body {said}." if said else " Both are in metres; scale= is the file's unit in metres.")
        )
    if said:
        warnings.warn(f"{path} {said}.", stacklevel=4)


def _outward(points: Float[np.ndarray, "N 3"], triangles: Int[np.ndarray, "S 3"]) -> Int[np.ndarray, "S 3"]:
    """Return the triangles, turned if they enclose a negative volume as a whole."""
    a, b, c = (points[triangles[:, k]] - points.mean(0) for k in range(3))
    return triangles[:, ::-1] if (a * np.cross(b, c)).sum() < 0 else triangles


def _filled(
    points: Float[np.ndarray, "N 3"], triangles: Int[np.ndarray, "S 3"], edge_length: float, diagonal: float
) -> tuple[Float[np.ndarray, "N_body 3"], Int[np.ndarray, "M 4"]]:
    try:
        import pytetwild
    except ModuleNotFoundError as error:
        raise ImportError(
            f"edge_length= fills surfaces by pytetwild, but {error.name} is not installed: "
            "pip install 'simlayer[solid]'."
        ) from None
    # It leaves a file in the working directory.
    with TemporaryDirectory() as folder, chdir(folder):
        nodes, cells = pytetwild.tetrahedralize(
            np.ascontiguousarray(points),
            np.ascontiguousarray(triangles, dtype=np.int32),
            edge_length_fac=min(1.0, edge_length / diagonal),
            epsilon=_TOLERANCE * edge_length / diagonal,
            quiet=True,
        )
    return np.asarray(nodes, dtype=np.float64).reshape(-1, 3), np.asarray(cells).reshape(-1, 4)
