"""Bodies and motions to and from other packages: NumPy, xarray, PyVista, USD, gmsh, trimesh, meshio."""

from simlayer.interchange.arrays import from_arrays, to_arrays
from simlayer.interchange.bodies import mesh_from
from simlayer.interchange.motion import BodyMotion
from simlayer.interchange.pyvista_grids import from_pyvista, to_pyvista
from simlayer.interchange.usd_stage import read_usd, write_usd
from simlayer.interchange.xarray_dataset import from_xarray, to_xarray

__all__ = [
    "BodyMotion",
    "from_arrays",
    "from_pyvista",
    "from_xarray",
    "mesh_from",
    "read_usd",
    "to_arrays",
    "to_pyvista",
    "to_xarray",
    "write_usd",
]
