"""Images whose voxels are labelled, from the files of VTK."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from simlayer.mesh.image_arrays import ImageArray, ImageGrid
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.structured_points import read_structured_points
from simlayer.mesh.validation import LENGTHS, MeshError
from simlayer.mesh.voxels import voxel_mesh
from simlayer.mesh.vti_files import read_vti
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.objects import checked_path, checked_text

_XML_IMAGE = re.compile(rb"""<VTKFile[^>]*type\s*=\s*["']ImageData["']""")
_LEGACY_IMAGE = re.compile(rb"^DATASET\s+STRUCTURED_POINTS", re.MULTILINE | re.IGNORECASE)
_HEAD = 4096


@dataclass(frozen=True)
class LabelImage:
    """Whole numbers of voxels, `(nx, ny, nz)`, 0 outside of a body; sizes and the first corner [m]."""

    labels: Int[Tensor, "nx ny nz"]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    source: str = "image"

    def mesh(self, *, names: Mapping[int, str] | None = None, largest: bool = False) -> Mesh:
        """Return a hexahedron for each voxel that is not 0, as `voxel_mesh` does."""
        try:
            return voxel_mesh(
                self.labels, spacing=self.spacing, origin=self.origin, names=names, largest=largest
            )
        except MeshError as error:
            raise MeshError(f"{self.source}: {error}") from None


def is_image(path: Path) -> bool:
    """Return whether a file is an image of VTK, by its first bytes, whatever it is called."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    return bool(_XML_IMAGE.search(head) or (head.startswith(b"# vtk") and _LEGACY_IMAGE.search(head)))


def read_image(path: str | os.PathLike[str], *, array: str | None = None, scale: float = 1.0) -> LabelImage:
    """Read labels from an image of VTK: .vti, or .vtk with STRUCTURED_POINTS.

    Labels of cells are those of voxels. Labels of points, as programs for segmentation write them, are those
    of voxels around the points.

        mesh = read_image("femur.vti", scale=1e-3).mesh(names={1: "bone"}, largest=True)

    Args:
        path: of the file.
        array: the name of the labels; may be left out if there is one array of whole numbers only.
        scale: turns the file's unit of length into m (1e-3 for mm).

    Raises:
        MeshError: for a file that cannot be read, or has no such labels.
    """
    path = checked_path("path", path)
    scale = checked_number("scale", scale, unit="m (1e-3 for a file in mm)", **LENGTHS)
    if not path.is_file():
        raise MeshError(f"{path} does not exist (looked from {Path.cwd()}).")
    if not is_image(path):
        raise MeshError(f"{path} is no image of VTK: neither .vti nor .vtk with STRUCTURED_POINTS.")
    content = path.read_bytes()
    read = read_structured_points if content.startswith(b"# vtk") else read_vti
    try:
        grid = read(content, path)
        chosen = _chosen(grid, None if array is None else checked_text("array", array), path)
        values = chosen.values()
    except MeshError:
        raise
    except Exception as error:  # whatever a damaged file leads to
        raise MeshError(
            f"{path} could not be read: {type(error).__name__}: {error}. Is it complete?"
        ) from error
    shape = tuple(count - 1 if chosen.of_cells else count for count in grid.points)
    if values.size != np.prod(shape):
        raise MeshError(
            f"{path}: {chosen.name!r} must have {np.prod(shape)} values, one for each "
            f"{'cell' if chosen.of_cells else 'point'}, got {values.size}. Is the file complete?"
        )
    labels = torch.from_numpy(values.astype(np.int64).reshape(shape[::-1]).transpose().copy())
    middle = 0.0 if chosen.of_cells else 0.5
    corner = [o - middle * s for o, s in zip(grid.origin, grid.spacing, strict=True)]
    spacing, origin = (tuple(scale * x for x in xs) for xs in (grid.spacing, corner))
    return LabelImage(labels, spacing, origin, str(path))  # type: ignore[arg-type]


def _chosen(grid: ImageGrid, name: str | None, path: Path) -> ImageArray:
    if not grid.arrays:  # a grid of voxels, all of which are the body's
        count = int(np.prod([points - 1 for points in grid.points]))
        return ImageArray("", True, True, lambda: np.ones(count, dtype=np.int64))
    whole = [array for array in grid.arrays if array.is_whole]
    found = [array for array in whole if name in (None, array.name)]
    if len(found) != 1:
        names, others = [array.name for array in whole], [a.name for a in grid.arrays if not a.is_whole]
        wanted = "one array of whole numbers" if name is None else f"one array {name!r} of whole numbers"
        raise MeshError(
            f"{path}: labels need {wanted}, one per voxel; there are {', '.join(names) or 'none'}"
            + (f", and others: {', '.join(others)}. " if others else ". ")
            + ("Choose one by read_image(path, array=)." if names else "Label the voxels, as by a threshold.")
        )
    return found[0]
