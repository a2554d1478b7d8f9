"""The rest shape of a body: vertices, cells, named sets of vertices and regions of cells."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.errors import listed
from simlayer.mesh.faces import boundary_and_owners, boundary_faces_and_owners
from simlayer.mesh.geometry import signed_volumes
from simlayer.mesh.id_lookup import rows_of_ids
from simlayer.mesh.sharing import check_sharing
from simlayer.mesh.validation import (
    MeshError,
    SourceNumbering,
    check_arrays,
    check_element,
    check_used,
    check_values,
    check_volumes,
)
from simlayer.quantities.arguments import checked_parts
from simlayer.quantities.arrays import checked_integers
from simlayer.quantities.objects import checked_names, checked_text

_ABSENT: Tensor = None  # type: ignore[assignment]  # stands for a default that needs the other fields
_INFERRED: str = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False, repr=False)
class Mesh:
    """A body at rest, as plain data in torch's default dtype; positions in m.

    Cells are tetrahedra or hexahedra with nodes in the order of VTK: corners, then the middles of edges. How
    many, C, says which `element` they are: "tet4", "tet10", "hex8" or "hex20".

    Every cell has a positive volume, every vertex a cell, every face at most two; `MeshError` says which do
    not. Vertices and cells are in the order of their file, without the nodes that no cell uses:
    `file_vertices` are all of its nodes, `file_index` says which of them each vertex is, and `vertex_ids` and
    `cell_ids` are the numbers that the file gives. All of these may be left out.
    """

    vertices: Float[Tensor, "N 3"]
    cells: Int[Tensor, "M C"]
    _: KW_ONLY
    element: str = _INFERRED
    vertex_sets: Mapping[str, Int[Tensor, "_"]] = field(default_factory=dict)
    cell_regions: Int[Tensor, "M"] = _ABSENT
    region_names: tuple[str, ...] = ("body",)
    file_vertices: Float[Tensor, "N_file 3"] = _ABSENT
    file_index: Int[Tensor, "N"] = _ABSENT
    vertex_ids: Int[Tensor, "N"] = _ABSENT
    cell_ids: Int[Tensor, "M"] = _ABSENT
    source: str = "mesh"

    def __post_init__(self) -> None:
        checked_text("source", self.source)
        check_arrays(self.vertices, self.cells, self.source)
        self._set("element", check_element(self.element, self.cells, self.source))
        self._set("vertices", self.vertices.to(torch.get_default_dtype()))
        self._set("cells", self.cells.long())
        self._number()
        numbering = SourceNumbering(self.source, self.vertex_ids, self.cell_ids)
        check_values(self.vertices, self.cells, numbering)
        check_volumes(self.vertices, self.cells, numbering)
        check_sharing(self.cells, len(self.vertices), numbering)
        check_used(self.cells, numbering)
        self._set(
            "vertex_sets",
            {
                name: self._vertex_set(name, set_)
                for name, set_ in checked_parts("vertex_sets", self.vertex_sets, object, "'tip'").items()
            },
        )
        self._check_regions()

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _number(self) -> None:
        vertices, cells = (
            torch.arange(len(x), device=self.cells.device) for x in (self.vertices, self.cells)
        )
        self._set_integers("cell_regions", torch.zeros_like(cells))
        self._set_integers("file_index", vertices)
        self._set_integers("vertex_ids", self.file_index)
        self._set_integers("cell_ids", cells)
        if self.file_vertices is None:
            self._set("file_vertices", self.vertices)
        self._set("file_vertices", self.file_vertices.to(self.vertices.dtype))
        rows, count = self.file_index, len(self.file_vertices)
        if rows.min() < 0 or rows.max() >= count:
            raise MeshError(f"{self.source}: file_index must hold different rows in [0, {count}).")
        for name in ("file_index", "vertex_ids", "cell_ids"):
            numbers, times = getattr(self, name).unique(return_counts=True)
            if len(twice := numbers[times > 1]):
                raise MeshError(f"{self.source}: {name} must differ, got {listed(twice.tolist())} twice.")

    def _set_integers(self, name: str, default: Tensor) -> None:
        value = default if getattr(self, name) is None else getattr(self, name)
        value = checked_integers(name, value)
        if value.shape != default.shape:
            raise MeshError(
                f"{self.source}: {name} must be integers of shape {tuple(default.shape)}, "
                f"got {value.dtype} of shape {tuple(value.shape)}."
            )
        self._set(name, value.long())

    def _vertex_set(self, name: str, vertices: Tensor) -> Int[Tensor, "_"]:
        vertices = checked_integers(f"vertex set {name!r}", vertices)
        if vertices.dim() != 1:
            raise MeshError(
                f"{self.source}: vertex set {name!r} must hold vertex indices of shape (K,), got "
                f"{vertices.dtype} of shape {tuple(vertices.shape)}; for a mask: mask.nonzero().flatten()."
            )
        count = len(self.vertices)
        if len(vertices) and (vertices.min() < 0 or vertices.max() >= count):
            raise MeshError(
                f"{self.source}: vertex set {name!r} must hold indices in [0, {count}), "
                f"got {vertices.min()} to {vertices.max()}."
            )
        return vertices.long().unique()

    def _check_regions(self) -> None:
        names = checked_names("region_names", self.region_names, ordered=True)
        self._set("region_names", names)
        if not names or len(set(names)) < len(names):
            raise MeshError(
                f"{self.source}: region_names must be different names, at least one, got {names}."
            )
        if self.cell_regions.min() < 0 or self.cell_regions.max() >= len(names):
            raise MeshError(
                f"{self.source}: cell_regions must lie in [0, {len(names)}) for the regions {names}, "
                f"got {self.cell_regions.min()} to {self.cell_regions.max()}."
            )

    @cached_property
    def boundary(self) -> Int[Tensor, "S 3"]:
        """The triangles of the surface through all of its vertices, anticlockwise seen from outside."""
        return boundary_and_owners(self.cells, len(self.vertices))[0]

    @cached_property
    def boundary_faces(self) -> Int[Tensor, "S K"]:
        """The faces of the surface: corners, anticlockwise from outside, then middles of sides, if nodes."""
        return boundary_faces_and_owners(self.cells, len(self.vertices))[0]

    @cached_property
    def volumes(self) -> Float[Tensor, "M"]:
        """The rest volume of each cell [m³]."""
        return signed_volumes(self.vertices, self.cells)

    @property
    def volume(self) -> Float[Tensor, ""]:
        """The rest volume of the body [m³]."""
        return self.volumes.sum()

    @cached_property
    def bounds(self) -> Float[Tensor, "2 3"]:
        """The lowest and highest coordinates [m]."""
        return torch.stack(self.vertices.aminmax(dim=0))

    def vertices_with_ids(self, ids: Sequence[int] | Int[Tensor, "K"]) -> Int[Tensor, "K"]:
        """Return the vertices with these ids; raises MeshError if one is no vertex's."""
        return rows_of_ids(ids, self.vertex_ids, "vertex", self.source)

    def cells_with_ids(self, ids: Sequence[int] | Int[Tensor, "K"]) -> Int[Tensor, "K"]:
        """Return the cells with these ids; raises MeshError if one is no cell's."""
        return rows_of_ids(ids, self.cell_ids, "cell", self.source)

    def from_file_order(self, values: Tensor, dim: int = 0) -> Tensor:
        """Return values at the file's nodes as values at the vertices, along `dim`: without unused nodes."""
        self._check_length(values, dim, len(self.file_vertices))
        return values.index_select(dim, self.file_index.to(values.device))

    def to_file_order(self, values: Tensor, dim: int = 0, *, unused: Tensor | float = math.nan) -> Tensor:
        """Return values at the vertices as values at all nodes of the file, along `dim`.

        `unused` fills the nodes that no cell uses and is broadcast to the result, like `mesh.file_vertices`.
        """
        self._check_length(values, dim, len(self.vertices))
        shape = list(values.shape)
        shape[dim] = len(self.file_vertices)
        filler = torch.as_tensor(unused, device=values.device)
        if not values.is_floating_point() and filler.is_floating_point() and shape != list(values.shape):
            raise MeshError(f"{self.source}: {values.dtype} has no NaN for unused nodes; pass an integer.")
        return (
            filler.to(values.dtype).expand(shape).index_copy(dim, self.file_index.to(values.device), values)
        )

    def _check_length(self, values: Tensor, dim: int, length: int) -> None:
        if not -values.dim() <= dim < values.dim() or values.shape[dim] != length:
            raise MeshError(
                f"{self.source}: values must have {length} entries along dim={dim}, "
                f"got shape {tuple(values.shape)}."
            )

    def __repr__(self) -> str:
        lower, upper = self.bounds.tolist()
        box = " x ".join(f"[{low:.4g}, {high:.4g}]" for low, high in zip(lower, upper, strict=True))
        sets = ", ".join(f"{name} ({len(set_)})" for name, set_ in self.vertex_sets.items()) or "none"
        counts = self.cell_regions.bincount(minlength=len(self.region_names)).tolist()
        regions = ", ".join(
            f"{name} ({count})" for name, count in zip(self.region_names, counts, strict=True)
        )
        return (
            f"Mesh({self.element}: {len(self.vertices)} vertices, {len(self.cells)} cells in {box} m;\n"
            f"  vertex sets: {sets};\n  regions: {regions})"
        )
