"""Other meshes of the same body: finer ones, and ones of quadratic elements."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.elements.types import ELEMENT_TYPES, ElementType, element_of
from simlayer.mesh.mesh import Mesh, MeshError
from simlayer.mesh.subdivision import cut, grown_set
from simlayer.quantities.objects import checked_instance

# Nodes of a quadratic tetrahedron: four cells at the corners, and the octahedron between them cut along the
# line from the middle of edge 02 to that of edge 13.
_TETRAHEDRA = (
    (0, 4, 6, 7), (4, 1, 5, 8), (6, 5, 2, 9), (7, 8, 9, 3),
    (4, 6, 7, 8), (4, 6, 8, 5), (6, 7, 8, 9), (6, 5, 9, 8),
)  # fmt: skip
_QUADRATIC = {"tet4": "tet10", "hex8": "hex20"}


def refine(mesh: Mesh) -> Mesh:
    """Cut every cell into eight of its kind, at the middles of its edges; curved ones stay on their curves.

    The first N vertices are those of `mesh`. A vertex set gains the vertices on edges and faces whose corners
    it holds; regions are inherited.
    """
    checked_instance("mesh", mesh, Mesh)
    element = element_of(mesh.cells)
    if element.is_simplex:
        corners = _nodes(ELEMENT_TYPES["tet10"])[torch.tensor(_TETRAHEDRA)]
    else:
        cube = _nodes(ELEMENT_TYPES["hex8"])
        corners = (cube[:, None] + cube) / 2
    return _cut(mesh, element.linear.functions(_nodes(element)) @ corners, "refined")


def to_quadratic_elements(mesh: Mesh) -> Mesh:
    """Return a mesh with the same cells as quadratic elements: tet4 as tet10, hex8 as hex20.

    Edges stay straight. Vertices and vertex sets grow as in `refine`.

    Raises:
        MeshError: if the cells are quadratic already.
    """
    checked_instance("mesh", mesh, Mesh)
    if mesh.element not in _QUADRATIC:
        raise MeshError(f"{mesh.source}: cells must be one of {tuple(_QUADRATIC)}, got {mesh.element!r}.")
    return _cut(mesh, _nodes(ELEMENT_TYPES[_QUADRATIC[mesh.element]])[None], "quadratic")


def _nodes(element: ElementType) -> Float[Tensor, "C 3"]:
    return torch.tensor(element.shape.nodes, dtype=torch.float64)


def _cut(mesh: Mesh, nodes: Float[Tensor, "K D 3"], how: str) -> Mesh:
    vertices, cells, ancestors = cut(mesh.vertices, mesh.cells, nodes)
    new = ancestors[len(mesh.vertices) :]
    return Mesh(
        vertices,
        cells,
        vertex_sets={name: grown_set(found, new, len(vertices)) for name, found in mesh.vertex_sets.items()},
        cell_regions=mesh.cell_regions.repeat_interleave(len(nodes)),
        region_names=mesh.region_names,
        source=f"{mesh.source}, {how}",
    )
