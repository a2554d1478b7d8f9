"""Bodies of every element that the tests of elements and forces share."""

import torch
from torch import Tensor

from simlayer import Mesh, box_mesh
from simlayer.elements.types import element_of

ELEMENTS = ("tet4", "tet10", "hex8", "hex20")
DEGREES = {"tet4": 1, "tet10": 2, "hex8": 1, "hex20": 2}


def wavy(element: str, cells: tuple[int, int, int] = (3, 2, 2), amount: float = 0.03) -> Mesh:
    """A box of 1 x 0.6 x 0.8 m with wavy sides, so that no two cells are alike and edges are curved."""
    box = box_mesh(cells=cells, size=(1.0, 0.6, 0.8), element=element)
    moved = box.vertices + amount * torch.sin(7 * box.vertices.roll(1, 1) + 0.3)
    return Mesh(moved, box.cells, vertex_sets=box.vertex_sets)


def twisted(element: str, cells: tuple[int, int, int] = (2, 2, 2), amount: float = 0.1) -> Mesh:
    """A box whose corners are moved at random, with straight edges: middles are between their ends."""
    box = box_mesh(cells=cells, size=(1.0, 0.6, 0.8), element=element)
    corners = box_mesh(cells=cells, size=(1.0, 0.6, 0.8), element=element[:3] + ("4", "8")[element[0] == "h"])
    width = torch.tensor([1.0, 0.6, 0.8]) / torch.tensor(cells)
    shift = amount * width * (2 * torch.rand(len(corners.vertices), 3) - 1)
    moved = box.vertices.clone()
    moved[: len(shift)] += shift
    return Mesh(straightened(moved, box.cells), box.cells, vertex_sets=box.vertex_sets)


def uneven(element: str, cells: tuple[int, int, int] = (3, 2, 2), amount: float = 0.03) -> Mesh:
    """A box whose nodes, the middles of edges too, are moved at random by a part of an edge: a rough body."""
    size = torch.tensor([1.0, 0.6, 0.8])
    box = box_mesh(cells=cells, size=tuple(size.tolist()), element=element)
    moved = box.vertices + amount * size / torch.tensor(cells) * (2 * torch.rand_like(box.vertices) - 1)
    return Mesh(moved, box.cells, vertex_sets=box.vertex_sets)


def straightened(vertices: Tensor, cells: Tensor) -> Tensor:
    """The same corners, with the middles of edges between them."""
    moved = vertices.clone()
    for a, b, *middle in element_of(cells).edges:
        for node in middle:
            moved[cells[:, node]] = (vertices[cells[:, a]] + vertices[cells[:, b]]) / 2
    return moved


def hollow_sphere(element: str, inner: float, outer: float, *, around: int = 3, layers: int = 2) -> Mesh:
    """A hollow sphere [m], the six sides of a cube blown up, with the vertices inside as the set "cavity"."""
    block = box_mesh(cells=(layers, around, around), size=(1.0, 1.0, 1.0), element=element)
    out, across, up = block.vertices.unbind(-1)
    # Equal angles from the middle of a side to its edges.
    across, up = (torch.tan((2 * part - 1) * torch.pi / 4) for part in (across, up))
    direction = torch.stack([torch.ones_like(across), across, up], -1)
    radius = inner + (outer - inner) * out
    side = radius[:, None] * direction / direction.norm(dim=-1, keepdim=True)
    flip = torch.tensor([-1.0, -1.0, 1.0])
    sides = [part for turn in range(3) for part in (side.roll(turn, 1), (side * flip).roll(turn, 1))]
    vertices = torch.cat(sides)
    _, same = torch.unique((vertices / (1e-6 * inner)).round().long(), dim=0, return_inverse=True)
    first = torch.full((int(same.max()) + 1,), len(vertices))
    first = first.scatter_reduce(0, same, torch.arange(len(vertices)), "amin")
    shifts = len(side) * torch.arange(6)[:, None, None]
    welded = vertices[first]
    inside = (welded.norm(dim=-1) < inner * (1 + 1e-6)).nonzero().flatten()
    return Mesh(welded, same[(block.cells + shifts).flatten(0, 1)], vertex_sets={"cavity": inside})


def hollow(element: str, amount: float = 0.02) -> Mesh:
    """A cube of 1 m, wavy, with a cubic cavity of 1/3 m whose vertices are the set "cavity"."""
    cube = box_mesh(cells=(3, 3, 3), element=element)
    middles = cube.vertices[cube.cells].mean(1)
    used, cells = cube.cells[((middles - 0.5).abs() > 1 / 6).any(1)].unique(return_inverse=True)
    rest = cube.vertices[used]
    sets = {
        "cavity": ((rest - 0.5).abs().amax(1) < 1 / 6 + 1e-6).nonzero().flatten(),
        "x_min": (rest[:, 0] < 1e-6).nonzero().flatten(),
    }
    return Mesh(rest + amount * torch.sin(7 * rest.roll(1, 1) + 0.3), cells, vertex_sets=sets)
