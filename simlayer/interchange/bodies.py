"""Bodies from objects of other packages, by way of files that these packages write."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from simlayer.mesh.mesh import Mesh
from simlayer.mesh.reading import read_mesh
from simlayer.mesh.validation import MeshError

# By package and class: the suffix of a file that keeps the whole object, and the method that writes it.
WRITERS = {
    ("pyvista", "UnstructuredGrid"): (".vtu", "save"),
    ("pyvista", "ImageData"): (".vti", "save"),
    ("pyvista", "PolyData"): (".ply", "save"),
    ("trimesh", "Trimesh"): (".ply", "export"),
    ("meshio", "Mesh"): (".vtu", "write"),
}
KNOWN = "the module gmsh with a model, or a mesh of pyvista, trimesh (a surface: with edge_length) or meshio"


def mesh_from(
    body: Any,
    *,
    scale: float = 1.0,
    merge: float | None = None,
    tetrahedra: bool = False,
    edge_length: float | None = None,
) -> Mesh:
    """Return a body that another package holds in memory, as `read_mesh` would read its file.

    Args:
        body: the module `gmsh`, for its current model with a mesh of cells, whose physical groups become
            regions and vertex sets; an `UnstructuredGrid` or `ImageData` (labels) of PyVista; a
            `meshio.Mesh`; or a surface to be filled with tetrahedra, `pyvista.PolyData` or `trimesh.Trimesh`.
        scale, merge, tetrahedra, edge_length: see `read_mesh`.

    Raises:
        MeshError: if it is none of these, or holds no body; for a surface, without an `edge_length`.
    """
    options = {"scale": scale, "merge": merge, "tetrahedra": tetrahedra, "edge_length": edge_length}
    with tempfile.TemporaryDirectory() as folder:
        path = _written(body, Path(folder))
        try:
            mesh = read_mesh(path, **options)  # type: ignore[arg-type]
        except MeshError as error:
            raise MeshError(str(error).replace(str(path), f"the {path.stem}")) from error
    return dataclasses.replace(mesh, source=path.stem)


def _written(body: Any, folder: Path) -> Path:
    """Write a body to a file by its own package, and return the path."""
    if isinstance(body, ModuleType) and body.__name__ == "gmsh":
        path = folder / "gmsh model.msh"
        if not body.isInitialized() or not body.model.mesh.getElementTypes(3).size:
            raise MeshError(
                "gmsh has no model with a mesh of cells; call gmsh.model.mesh.generate(3) before."
            )
        body.write(str(path))
        return path
    names = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(body).__mro__}
    for (package, name), (suffix, write) in WRITERS.items():
        if (package, name) in names:
            path = folder / f"{package} {name}{suffix}"
            getattr(body, write)(str(path))
            return path
    raise MeshError(f"body must be {KNOWN}, got {type(body).__name__}.")
