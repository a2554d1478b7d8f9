"""What files may hold and meshio does not know: voxels, some quadratic cells, indices in legacy VTK files."""

from collections.abc import Iterator
from contextlib import contextmanager

import meshio
import numpy as np

from simlayer.mesh.cell_shapes import CELL_SHAPES

# The corners of a voxel go along x, then y, then z; those of a hexahedron around its lower and upper face.
_VOXEL, _AROUND = 11, [0, 1, 3, 2, 4, 5, 7, 6]


@contextmanager
def all_cells() -> Iterator[None]:
    """Let meshio read voxels, as blocks of type "voxel", pyramids and vtkIdType while the context lasts."""
    common, legacy, latest = meshio._vtk_common, meshio.vtk._vtk_42, meshio.vtk._vtk_51
    # VTK writes its indices as 32-bit numbers into legacy files.
    entries: list[tuple[dict, object, object]] = [
        (common.vtk_to_meshio_type, _VOXEL, "voxel"),
        (meshio._common.num_nodes_per_cell, "voxel", 8),
        *((meshio._common.num_nodes_per_cell, kind, shape.num_nodes) for kind, shape in CELL_SHAPES.items()),
        *((meshio._mesh.topological_dimension, kind, 3) for kind in ("voxel", *CELL_SHAPES)),
        (legacy.vtk_to_numpy_dtype_name, "vtkidtype", "int32"),
        (latest.vtk_to_numpy_dtype_name, "vtkidtype", "int32"),
    ]
    added = [(table, key, value) for table, key, value in entries if key not in table]
    for table, key, value in added:
        table[key] = value
    sizes, legacy.vtk_type_to_numnodes = legacy.vtk_type_to_numnodes, legacy.vtk_type_to_numnodes.copy()
    legacy.vtk_type_to_numnodes[_VOXEL] = 8
    try:
        yield
    finally:
        legacy.vtk_type_to_numnodes = sizes
        for table, key, _ in added:
            del table[key]


def turn_voxels(file: meshio.Mesh) -> None:
    """Make hexahedra of the voxels."""
    for index, block in enumerate(file.cells):
        if block.type == "voxel":
            file.cells[index] = meshio.CellBlock("hexahedron", np.asarray(block.data)[:, _AROUND])


def flatten_columns(file: meshio.Mesh) -> None:
    """Make vectors of data with one column, as legacy files have them."""
    for name, values in file.point_data.items():
        file.point_data[name] = _flat(values)
    for name, blocks in file.cell_data.items():
        file.cell_data[name] = [_flat(values) for values in blocks]


def _flat(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
