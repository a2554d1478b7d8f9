"""Several meshes side by side as one, without joining them anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from jaxtyping import Int
from torch import Tensor

from simlayer.mesh.mesh import Mesh, MeshError
from simlayer.quantities.arrays import described
from simlayer.quantities.objects import checked_instance


def disjoint_union(meshes: Sequence[Mesh]) -> Mesh:
    """Return one mesh of all vertices and cells, those of the first mesh first, in their order.

    No vertex is shared, wherever the meshes lie; they may overlap. Regions of the same name become one. So do
    vertex sets that all meshes have; one that some lack, such as "tip", is kept for each that has it, as
    "tip of 2".

    Args:
        meshes: at least one, of the same element, on one device.

    Raises:
        TypeError: if one is no mesh.
        MeshError: if there is none, or they differ in element or device.
    """
    meshes = _checked(meshes)
    starts = [0, *accumulate(len(mesh.vertices) for mesh in meshes)]
    region_names = tuple(dict.fromkeys(name for mesh in meshes for name in mesh.region_names))
    return Mesh(
        torch.cat([mesh.vertices for mesh in meshes]),
        torch.cat([mesh.cells + start for mesh, start in zip(meshes, starts, strict=False)]),
        vertex_sets=_vertex_sets(meshes, starts),
        cell_regions=torch.cat([_regions(mesh, region_names) for mesh in meshes]),
        region_names=region_names,
        source=f"union of {len(meshes)} meshes",
    )


def _checked(meshes: Sequence[Mesh]) -> list[Mesh]:
    if not isinstance(meshes, (list, tuple)):
        raise TypeError(f"meshes must be a list of meshes, got {described(meshes)}.")
    if not meshes:
        raise MeshError("meshes must hold at least one mesh, got none.")
    for index, mesh in enumerate(meshes):
        checked_instance(f"meshes[{index}]", mesh, Mesh)
        for what in (lambda mesh: mesh.element, lambda mesh: mesh.cells.device):
            if what(mesh) != what(meshes[0]):
                raise MeshError(
                    "meshes must be of one element and on one device, but those of meshes[0] are "
                    f"{meshes[0].element!r} on {meshes[0].cells.device}, and those of meshes[{index}] "
                    f"{mesh.element!r} on {mesh.cells.device}."
                )
    return list(meshes)


def _vertex_sets(meshes: list[Mesh], starts: list[int]) -> dict[str, Tensor]:
    common = set.intersection(*(set(mesh.vertex_sets) for mesh in meshes))
    sets: dict[str, list[Tensor]] = {}
    for index, (mesh, start) in enumerate(zip(meshes, starts, strict=False)):
        for name, vertices in mesh.vertex_sets.items():
            sets.setdefault(name if name in common else f"{name} of {index}", []).append(vertices + start)
    return {name: torch.cat(parts) for name, parts in sets.items()}


def _regions(mesh: Mesh, names: tuple[str, ...]) -> Int[Tensor, "M"]:
    """Return the region of each cell as an index of these names."""
    indices = [names.index(name) for name in mesh.region_names]
    return torch.tensor(indices, device=mesh.cells.device)[mesh.cell_regions]
