"""Location of points in a mesh: their cells, shape functions and the cells around them."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from simlayer.elements.types import ElementType, element_of
from simlayer.errors import ObservationError
from simlayer.fem.quadrature import at_quadrature_points
from simlayer.mesh.faces import boundary_and_owners
from simlayer.mesh.mesh import Mesh

# Relative to the body's largest extent: a mesh cuts off curves, so points of a surface may lie outside it.
TOLERANCE = 1e-2
ROUNDING = 1e-6  # in reference coordinates, for meshes in single precision
_ITERATIONS = 20
_PAIRS = 2**17  # of points and cells at a time


def locate_points(mesh: Mesh, points: Float[Tensor, "K 3"]) -> tuple[Int[Tensor, "K"], Float[Tensor, "K C"]]:
    """Return the cell of each point and the values of its shape functions there.

    A point just outside the mesh belongs to the cell of the nearest face.

    Raises:
        ValueError: if a point is outside by more than a hundredth of the body's largest extent.
    """
    element, vertices, points = element_of(mesh.cells), mesh.vertices.double(), points.double()
    nodes = vertices[mesh.cells]
    size = max(1, _PAIRS // len(nodes))
    parts = [_deepest(element, nodes, part) for part in points.split(size)]
    cells, places, found = (torch.cat(part) for part in zip(*parts, strict=True))
    if not bool(found.all()):
        triangles, owners = boundary_and_owners(mesh.cells, len(vertices))
        for number in (~found).nonzero().flatten().tolist():
            distances = distances_to_triangles(points[number], vertices[triangles])
            _check_outside(mesh, points[number], number, distances.min().item())
            cells[number] = owners[distances.argmin()]
            places[number] = _local(element, nodes[cells[number]][None], points[number])[0]
    return cells, element.shape.functions(places)


def _deepest(
    element: ElementType, nodes: Float[Tensor, "M C 3"], points: Float[Tensor, "K 3"]
) -> tuple[Int[Tensor, "K"], Float[Tensor, "K 3"], Bool[Tensor, "K"]]:
    """Return the cell that each point is deepest in, its place there, and whether it is in any."""
    low, high = nodes.amin(1), nodes.amax(1)
    # Curved edges can leave the box around their nodes.
    margin = 0.25 * (high - low).amax(1, keepdim=True)
    near = ((points[:, None] >= low - margin) & (points[:, None] <= high + margin)).all(-1)
    rows, cells = near.nonzero().unbind(1)
    if not len(rows):
        return rows.new_zeros(len(points)), points.clone(), rows.new_zeros(len(points), dtype=torch.bool)
    places = _local(element, nodes[cells], points[rows])
    depths, count = _depth(element, places), len(rows)
    deepest = depths.new_full((len(points),), -torch.inf).scatter_reduce(0, rows, depths, "amax")
    found = deepest > -ROUNDING
    # The first of the pairs that are as deep; pair 0 stands in where there is none.
    pairs = torch.where(depths == deepest[rows], torch.arange(count, device=rows.device), count)
    best = pairs.new_full((len(points),), count).scatter_reduce(0, rows, pairs, "amin")
    best = torch.where(found, best, 0)
    return cells[best], places[best], found


def _local(
    element: ElementType, nodes: Float[Tensor, "M C 3"], point: Float[Tensor, "*M 3"]
) -> Float[Tensor, "M 3"]:
    """Return the reference coordinates of a point, or one for each cell, in cells.

    By Newton's method from the middle of the cell, exact after one iteration where the map is affine; NaN or
    far away where there is no solution.
    """
    place = torch.tensor(element.linear.nodes, dtype=torch.float64).mean(0).expand(len(nodes), 3)
    for _ in range(1 if element.is_affine else _ITERATIONS):
        miss = point - torch.einsum("mc,mci->mi", element.shape.functions(place), nodes)
        jacobian = torch.einsum("mci,mcj->mij", nodes, element.shape.gradients(place))
        # Unlike `solve`, it raises no error where a matrix is singular on the way.
        change, _ = torch.linalg.solve_ex(jacobian, miss)
        place = place + change
    return place


def _depth(element: ElementType, places: Float[Tensor, "M 3"]) -> Float[Tensor, "M"]:
    """Return how far inside the reference cell points are; negative outside."""
    least = places.amin(1)
    other = 1 - places.sum(1) if element.is_simplex else 1 - places.amax(1)
    return torch.minimum(least, other).nan_to_num(-torch.inf, -torch.inf, -torch.inf)


def _check_outside(mesh: Mesh, point: Float[Tensor, "3"], number: int, distance: float) -> None:
    tolerance = TOLERANCE * (mesh.bounds[1] - mesh.bounds[0]).max().item()
    if distance > tolerance:
        raise ValueError(
            f"{mesh.source}: points must lie in the body, or within {tolerance:.3g} m of it; point {number}, "
            f"{tuple(round(x, 6) for x in point.tolist())}, is {distance:.3g} m outside. Is it in m, and in "
            "the mesh's frame?"
        )


def distances_to_triangles(point: Float[Tensor, "3"], corners: Float[Tensor, "S 3 3"]) -> Float[Tensor, "S"]:
    """Return the distance from a point to each triangle [m]."""
    edges, arms = corners.roll(-1, 1) - corners, point - corners
    along = ((arms * edges).sum(-1) / edges.square().sum(-1)).clamp(0, 1)
    to_edges = (arms - along[..., None] * edges).norm(dim=-1).amin(-1)
    normals = torch.nn.functional.normalize(torch.linalg.cross(edges[:, 0], edges[:, 1]), dim=-1)
    inwards = torch.linalg.cross(normals[:, None].expand_as(edges), edges)
    above = ((arms * inwards).sum(-1) >= 0).all(-1)
    return torch.where(above, (arms[:, 0] * normals).sum(-1).abs(), to_edges)


def cells_touching(mesh: Mesh, cells: Int[Tensor, "K"]) -> Bool[Tensor, "K M"]:
    """Return whether each cell of the mesh shares a vertex with each of these, themselves included."""
    return (mesh.cells[None, :, :, None] == mesh.cells[cells][:, None, None]).any(-1).any(-1)


def cells_within(mesh: Mesh, points: Float[Tensor, "K 3"], radius: float) -> Bool[Tensor, "K M"]:
    """Return whether the centroid of each cell lies within `radius` [m] of each point."""
    centroids = mesh.vertices.double()[mesh.cells].mean(1)
    distances = torch.cdist(points.double(), centroids)
    nearest, worst = distances.amin(-1).max(0)
    if not nearest <= radius:
        raise ObservationError(
            f"{mesh.source}: radius must reach the centroid of a cell from every point, got {radius} m; "
            f"from point {int(worst)} the nearest is {nearest:.3g} m away."
        )
    return distances <= radius


def mean_gradients(
    mesh: Mesh, near: Bool[Tensor, "K M"]
) -> tuple[Int[Tensor, "K P"], Float[Tensor, "K P 3"]]:
    """Return vertices and vectors G such that the mean deformation gradient of near cells is the sum of x Gᵀ.

    The mean is weighted by volume. Rows are padded with vertex 0 and G = 0.
    """
    element, nodes = element_of(mesh.cells), mesh.vertices.double()[mesh.cells]
    slopes, weights = at_quadrature_points(element, element.curved_rule, nodes)
    integrals, volumes = torch.einsum("ciqm,qm->mci", slopes, weights), weights.sum(0)
    vertices, gradients = [], []
    for cells in near:
        used, inverse = mesh.cells[cells].unique(return_inverse=True)
        parts = (integrals[cells] / volumes[cells].sum()).flatten(0, 1)
        vertices.append(used)
        gradients.append(parts.new_zeros((len(used), 3)).index_add(0, inverse.flatten(), parts))
    return pad_sequence(vertices, batch_first=True), pad_sequence(gradients, batch_first=True)
