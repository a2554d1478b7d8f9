"""Surfaces in files: points and triangles, as scanners and CAD programs write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from simlayer.mesh.meshio_files import SURFACES_ONLY, file_points, load
from simlayer.mesh.validation import MeshError

# A body longer than this is rather one whose file is in millimetres [m].
LONGEST = 10.0


def is_surface(path: Path) -> bool:
    """Return whether files of this name hold surfaces only."""
    return path.suffix.lower() in SURFACES_ONLY


def read_surface(path: Path) -> tuple[Float[np.ndarray, "N 3"], Int[np.ndarray, "S 3"]]:
    """Return the points and triangles of a file in its units, four-sided faces cut in two.

    Raises:
        MeshError: for a file that cannot be read, or has no points.
    """
    file = load(path, surface=True)
    points = file_points(file, path)
    if not len(points):
        raise MeshError(f"{path} has no points; write it again.")
    triangles = [np.empty((0, 3), dtype=np.int64)]
    for block in file.cells:
        if block.type in ("triangle", "quad", "polygon") or block.type.startswith("polygon"):
            faces = np.asarray(block.data, dtype=np.int64)
            triangles += [faces[:, [0, k, k + 1]] for k in range(1, faces.shape[1] - 1)]
    return points, np.concatenate(triangles)


def implausible(extent: float) -> str:
    """Return what to say of a body of this largest extent [m], nothing if it may be one."""
    if extent <= LONGEST:
        return ""
    return (
        f"is {extent:.4g} m long: if the file is in millimetres, give scale=1e-3 (it becomes {extent:.4g} mm)"
    )
