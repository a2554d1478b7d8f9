"""What a mesh must satisfy to be simulated; each error names the vertices or cells, and the remedy."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from simlayer.boundary import face_owners
from simlayer.mesh_geometry import longest_edges, row_keys, signed_volumes

INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
LISTED = 5

# Six volumes over the longest edge cubed: 0.7 for a regular tetrahedron, 1e-3 for a sliver that still works.
# Below 1e-6 float32 coordinates no longer tell a positive cell from an inverted one.
FLATTEST = 1e-6


class MeshError(ValueError):
    """A mesh, or a mesh file, that cannot be simulated or written as it is."""


class Numbering(NamedTuple):
    """Where a mesh comes from, and the numbers that its vertices and cells have there."""

    source: str
    vertices: Int[Tensor, "N"]
    cells: Int[Tensor, "M"]


def listed(bad: Bool[Tensor, "K"], numbers: Int[Tensor, "K"]) -> str:
    """Count and first numbers of the offenders: "7 of 540: 3, 4, 5, 6, 8, ..."."""
    offenders = numbers[bad].sort().values
    first = ", ".join(str(number) for number in offenders[:LISTED].tolist())
    return f"{len(offenders)} of {len(numbers)}: {first}{', ...' if len(offenders) > LISTED else ''}"


def check_arrays(vertices: Tensor, cells: Tensor, source: str) -> None:
    """Types and shapes of the two arrays."""
    for name, value in (("vertices", vertices), ("cells", cells)):
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise MeshError(
                f"{source}: {name} must be a torch tensor, got {kind}; use torch.as_tensor({name})."
            )
    if not vertices.is_floating_point() or vertices.dim() != 2 or vertices.shape[1] != 3:
        raise MeshError(
            f"{source}: vertices must be floating-point numbers of shape (N, 3) [m], "
            f"got {vertices.dtype} of shape {tuple(vertices.shape)}."
        )
    if cells.dtype not in INTEGERS or cells.dim() != 2 or cells.shape[1] != 4:
        raise MeshError(
            f"{source}: cells must be integers of shape (M, 4), the corners of linear tetrahedra, "
            f"got {cells.dtype} of shape {tuple(cells.shape)}."
        )
    if len(vertices) == 0 or len(cells) == 0:
        raise MeshError(
            f"{source}: a mesh needs at least 4 vertices and 1 cell, got {len(vertices)} and {len(cells)}."
        )


def check_values(vertices: Float[Tensor, "N 3"], cells: Int[Tensor, "M 4"], numbering: Numbering) -> None:
    """Finite positions, and cells of four different vertices that exist."""
    source, count = numbering.source, len(vertices)
    outside = ((cells < 0) | (cells >= count)).any(1)
    if outside.any():
        raise MeshError(
            f"{source}: vertex indices must lie in [0, {count}), got {cells.min()} to {cells.max()}, "
            f"in cells {listed(outside, numbering.cells)}. Are they counted from 1?"
        )
    infinite = ~vertices.isfinite().all(1)
    if infinite.any():
        raise MeshError(
            f"{source}: positions must be finite, got NaN or infinity at vertices "
            f"{listed(infinite, numbering.vertices)}."
        )
    corners = cells.sort(1).values
    repeated = (corners[:, 1:] == corners[:, :-1]).any(1)
    if repeated.any():
        raise MeshError(
            f"{source}: the four corners of a cell must differ; a vertex comes twice in cells "
            f"{listed(repeated, numbering.cells)}. Remove these cells."
        )


def check_volumes(vertices: Float[Tensor, "N 3"], cells: Int[Tensor, "M 4"], numbering: Numbering) -> None:
    """Cells that are neither flat nor inverted."""
    vertices = vertices.double()
    volumes = signed_volumes(vertices, cells)
    flatness = 6 * volumes / longest_edges(vertices, cells) ** 3
    # Written so that NaN, which two coinciding vertices give, counts as flat.
    flat = ~(flatness.abs() >= FLATTEST)
    if flat.any():
        raise MeshError(
            f"{numbering.source}: 6 |volume| / (longest edge)³ must be at least {FLATTEST:g}, "
            f"got {flatness[flat].abs().min():.2g} and up in cells {listed(flat, numbering.cells)}. "
            "Remove them, or mesh the body again."
        )
    inverted = volumes < 0
    if inverted.any():
        raise MeshError(
            f"{numbering.source}: det[x1 - x0, x2 - x0, x3 - x0] must be positive, got inverted cells, "
            f"{listed(inverted, numbering.cells)}. Swap two corners of each (read_mesh does so for files)."
        )


def check_sharing(cells: Int[Tensor, "M 4"], vertex_count: int, numbering: Numbering) -> None:
    """No cell twice, and no face shared by more than two cells."""
    _, inverse, counts = row_keys(cells, vertex_count).unique(return_inverse=True, return_counts=True)
    repeated = counts[inverse] > 1
    if repeated.any():
        raise MeshError(
            f"{numbering.source}: every cell must come once; the same four vertices make up cells "
            f"{listed(repeated, numbering.cells)}. Keep one of each (Gmsh's "
            "format 2.2 repeats cells that are in several groups: save as 4.1)."
        )
    crowded = (face_owners(cells, vertex_count) > 2).any(1)
    if crowded.any():
        raise MeshError(
            f"{numbering.source}: a triangle belongs to at most two cells; more than two share one in cells "
            f"{listed(crowded, numbering.cells)}. These cells overlap: remove them, or mesh the body again."
        )


def check_used(cells: Int[Tensor, "M 4"], numbering: Numbering) -> None:
    """No vertex without a cell: it would have no mass, and a step would divide by it."""
    unused = torch.ones(len(numbering.vertices), dtype=torch.bool, device=cells.device)
    unused[cells] = False
    if unused.any():
        raise MeshError(
            f"{numbering.source}: every vertex must belong to a cell, or it has no mass; unused vertices "
            f"{listed(unused, numbering.vertices)}. Drop them and renumber the cells "
            "(used, cells = cells.unique(return_inverse=True); vertices = vertices[used])."
        )
