"""Checks of a mesh; each error names the vertices or cells, and the remedy."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from simlayer.elements.types import BY_NODES, ELEMENT_TYPES, element_of
from simlayer.errors import listed
from simlayer.mesh.geometry import jacobian_determinants, longest_edges
from simlayer.quantities.arrays import oddity

INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)

# Lengths whose volumes are numbers in single precision too [m].
LENGTHS: dict[str, Any] = {"least": 1e-12, "most": 1e12}

# The least Jacobian determinant over the longest edge cubed: 0.7 for a regular tetrahedron, where it is six
# volumes, 1 for a cube, 1e-3 for a sliver that still works. Below 1e-6 float32 coordinates no longer
# distinguish a positive cell from an inverted one.
FLATTEST = 1e-6


class MeshError(ValueError):
    """A mesh, or a mesh file, that cannot be simulated or written as it is."""


class SourceNumbering(NamedTuple):
    """The source of a mesh, and the numbers of its vertices and cells there."""

    source: str
    vertices: Int[Tensor, "N"]
    cells: Int[Tensor, "M"]


def offenders(bad: Bool[Tensor, "K"], numbers: Int[Tensor, "K"]) -> str:
    """Return how many are bad, and their first numbers: "7 of 540: [3, 4, 5, 6, 8] and 2 more"."""
    found = numbers[bad].sort().values.tolist()
    return f"{len(found)} of {len(numbers)}: {listed(found)}"


def check_constant(vertices: Tensor, source: str) -> None:
    """Raise MeshError if rest positions require grad, which what is computed from them once would cut off."""
    if vertices.requires_grad:
        raise MeshError(
            f"{source}: vertices must be a constant, got a tensor that requires grad: no gradient would "
            "reach a rest shape. Pass vertices.detach(); the positions of an initial state may require grad."
        )


def check_arrays(vertices: Tensor, cells: Tensor, source: str) -> None:
    """Check the types and shapes of the two arrays."""
    for name, value in (("vertices", vertices), ("cells", cells)):
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise MeshError(
                f"{source}: {name} must be a torch tensor, got {kind}; use torch.as_tensor({name})."
            )
        if odd := oddity(value):
            raise MeshError(f"{source}: {name} must be a plain tensor, got one that is {odd}.")
    check_constant(vertices, source)
    if not vertices.is_floating_point() or vertices.dim() != 2 or vertices.shape[1] != 3:
        raise MeshError(
            f"{source}: vertices must be floating-point numbers of shape (N, 3) [m], "
            f"got {vertices.dtype} of shape {tuple(vertices.shape)}."
        )
    if cells.dtype not in INTEGERS or cells.dim() != 2 or cells.shape[1] not in BY_NODES:
        kinds = ", ".join(f"{nodes} ({element.name})" for nodes, element in BY_NODES.items())
        raise MeshError(
            f"{source}: cells must be integers of shape (M, C), the nodes of tetrahedra or hexahedra, "
            f"with C one of {kinds}, got {cells.dtype} of shape {tuple(cells.shape)}."
        )
    if len(vertices) == 0 or len(cells) == 0:
        raise MeshError(
            f"{source}: a mesh needs at least 4 vertices and 1 cell, got shapes {tuple(vertices.shape)} and "
            f"{tuple(cells.shape)}."
        )


def check_element(element: str | None, cells: Int[Tensor, "M C"], source: str) -> str:
    """Return the name of the element with this many nodes; raises MeshError if another one was named."""
    found = element_of(cells).name
    if element is not None and (not isinstance(element, str) or element != found):
        raise MeshError(
            f"{source}: element must be {found!r} for cells of {cells.shape[1]} nodes, one of "
            f"{tuple(ELEMENT_TYPES)} in general, got {element!r}."
        )
    return found


def check_values(
    vertices: Float[Tensor, "N 3"], cells: Int[Tensor, "M C"], numbering: SourceNumbering
) -> None:
    """Check that positions are finite, and that the vertices of each cell exist and differ."""
    source, count = numbering.source, len(vertices)
    outside = ((cells < 0) | (cells >= count)).any(1)
    if outside.any():
        raise MeshError(
            f"{source}: vertex indices must lie in [0, {count}), got {cells.min()} to {cells.max()}, "
            f"in cells {offenders(outside, numbering.cells)}. Are they counted from 1?"
        )
    infinite = ~vertices.isfinite().all(1)
    if infinite.any():
        raise MeshError(
            f"{source}: positions must be finite, got NaN or infinity at vertices "
            f"{offenders(infinite, numbering.vertices)}."
        )
    corners = cells.sort(1).values
    repeated = (corners[:, 1:] == corners[:, :-1]).any(1)
    if repeated.any():
        raise MeshError(
            f"{source}: the vertices of a cell must differ; a vertex comes twice in cells "
            f"{offenders(repeated, numbering.cells)}. Remove these cells."
        )


def check_volumes(
    vertices: Float[Tensor, "N 3"], cells: Int[Tensor, "M C"], numbering: SourceNumbering
) -> None:
    """Check that cells are neither flat, inverted nor folded, at their nodes and quadrature points."""
    vertices, element = vertices.double(), element_of(cells)
    points = element.rule.points
    if not element.is_affine:
        points += element.curved_rule.points + element.shape.nodes
    determinants = jacobian_determinants(vertices, cells, torch.tensor(points, dtype=torch.float64))
    shapes = determinants / longest_edges(vertices, cells) ** 3
    positive, negative = (shapes > 0).any(0), (shapes < 0).any(0)
    # Written so that NaN, which two coinciding vertices give, counts as flat.
    flatness = shapes.abs().amin(0)
    flat = ~(flatness >= FLATTEST) & ~(positive & negative)
    if flat.any():
        what = "6 |volume|" if element.is_affine else "|det dX/dxi|"
        raise MeshError(
            f"{numbering.source}: {what} / (longest edge)³ must be at least {FLATTEST:g}, "
            f"got {flatness[flat].min():.2g} and up in cells {offenders(flat, numbering.cells)}. "
            "Remove them, or mesh the body again."
        )
    if (positive & negative).any():
        raise MeshError(
            f"{numbering.source}: det dX/dxi must be positive all over a cell, got both signs in cells "
            f"{offenders(positive & negative, numbering.cells)}. Are the nodes in the order of VTK? If so, "
            "the cells are folded, as curved edges can: mesh the body finer, or with straight edges."
        )
    if negative.any():
        raise MeshError(
            f"{numbering.source}: det[x1 - x0, x2 - x0, x3 - x0] must be positive, got inverted cells, "
            f"{offenders(negative, numbering.cells)}. Swap two corners of each (read_mesh does so for files)."
            if element.is_affine
            else f"{numbering.source}: det dX/dxi must be positive, got inverted cells, "
            f"{offenders(negative, numbering.cells)}. Take their nodes in the order "
            f"cells[:, {list(element.inversion_order)}] (read_mesh does so for files)."
        )


def check_used(cells: Int[Tensor, "M C"], numbering: SourceNumbering) -> None:
    """Check that every vertex belongs to a cell: without mass, a step would divide by zero."""
    unused = torch.ones(len(numbering.vertices), dtype=torch.bool, device=cells.device)
    unused[cells] = False
    if unused.any():
        raise MeshError(
            f"{numbering.source}: every vertex must belong to a cell, or it has no mass; got unused vertices "
            f"{offenders(unused, numbering.vertices)}. Drop them and renumber the cells "
            "(used, cells = cells.unique(return_inverse=True); vertices = vertices[used])."
        )
