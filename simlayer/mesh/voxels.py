"""Meshes of images: a hexahedron for every voxel that is labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Int
from torch import Tensor

from simlayer.mesh.mesh import Mesh
from simlayer.mesh.pieces import piece_of_vertices
from simlayer.mesh.primitives import grid_points, hexahedra
from simlayer.mesh.validation import LENGTHS, MeshError
from simlayer.quantities.arguments import checked_number, checked_several
from simlayer.quantities.arrays import checked_integers
from simlayer.quantities.objects import checked_instance


def voxel_mesh(
    labels: Any,
    *,
    spacing: Sequence[float],
    origin: Sequence[float] = (0.0, 0.0, 0.0),
    names: Mapping[int, str] | None = None,
    largest: bool = False,
) -> Mesh:
    """Mesh the labelled voxels of an image by hexahedra, with a region for each label.

    Args:
        labels: whole numbers, `(nx, ny, nz)`; 0 is outside.
        spacing: the size of a voxel along x, y and z [m].
        origin: the corner of the first voxel [m].
        names: of regions, by label; that of another is label_3 or the like.
        largest: whether only the largest of several pieces that no vertex joins is kept.

    Raises:
        TypeError, ValueError: for labels that are no whole numbers, or lengths that are none.
        MeshError: for labels of another shape, without a voxel inside, or in pieces unless `largest`.
    """
    image = checked_integers("labels", labels).long()
    if image.ndim != 3 or not bool(image.any()):
        raise MeshError(
            "labels must have shape (nx, ny, nz) and a voxel that is not 0, got "
            f"{'only 0' if image.ndim == 3 else f'shape {tuple(image.shape)}'}."
        )
    spacing = checked_several("spacing", spacing, 3, checked_number, unit="m", **LENGTHS)
    origin = checked_several("origin", origin, 3, checked_number, unit="m")
    names = {} if names is None else checked_instance("names", names, Mapping)
    inside = image.flatten() != 0
    cells, found = hexahedra(image.shape)[inside], image.flatten()[inside]
    size = [count * length for count, length in zip(image.shape, spacing, strict=True)]
    points = grid_points(image.shape, size, origin)
    used, cells = cells.unique(return_inverse=True)
    kept = _in_one_piece(cells, len(used), largest)
    corners, cells = cells[kept].unique(return_inverse=True)
    used, found = used[corners], found[kept]
    numbers, regions = found.unique(return_inverse=True)
    titles = tuple(names.get(int(number), f"label_{int(number)}") for number in numbers)
    return Mesh(points[used], cells, cell_regions=regions, region_names=titles, source="voxels")


def _in_one_piece(cells: Int[Tensor, "M 8"], vertex_count: int, largest: bool) -> Int[Tensor, "K"]:
    """Return the cells of the largest piece; raises MeshError if it is not the only one, or wanted."""
    pieces, index, counts = piece_of_vertices(cells, vertex_count)[cells[:, 0]].unique(
        return_inverse=True, return_counts=True
    )
    if len(pieces) > 1 and not largest:
        listed = ", ".join(map(str, counts.sort(descending=True).values[:5].tolist()))
        raise MeshError(
            f"labels: the voxels are in {len(pieces)} pieces that no vertex joins, of {listed} voxels; "
            "largest=True keeps the largest only."
        )
    return (index == counts.argmax()).nonzero().flatten()
