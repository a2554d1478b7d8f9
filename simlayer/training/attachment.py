"""Where points lie in a body of tetrahedra, and how the body deforms around them."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from simlayer.errors import ObservationError
from simlayer.functional.distance import distances_to_triangles
from simlayer.mesh import Mesh

# Of the body's largest extent. A mesh cuts corners, so points on a surface may lie outside its cells.
TOLERANCE = 1e-2
ROUNDING = 1e-6  # of a barycentric coordinate, for meshes in single precision


def shape_gradients(mesh: Mesh) -> Float[Tensor, "M 4 3"]:
    """Gradients of the barycentric coordinates of each cell [1/m], in double precision."""
    corners = mesh.vertices.double()[mesh.cells]
    others = torch.linalg.inv((corners[:, 1:] - corners[:, :1]).mT)
    return torch.cat([-others.sum(1, keepdim=True), others], 1)


def barycentric(
    points: Float[Tensor, "*#cells 3"],
    origins: Float[Tensor, "*#cells 3"],
    slopes: Float[Tensor, "*#cells 4 3"],
) -> Float[Tensor, "*cells 4"]:
    """Barycentric coordinates of points in cells with their first corners at `origins`."""
    coordinates = (slopes * (points - origins)[..., None, :]).sum(-1)
    return torch.cat([coordinates[..., :1] + 1, coordinates[..., 1:]], -1)


def containing_cells(mesh: Mesh, points: Float[Tensor, "K 3"]) -> Int[Tensor, "K"]:
    """The cell of each point; that of the nearest face for one just outside the body."""
    origins, slopes = mesh.vertices.double()[mesh.cells[:, 0]], shape_gradients(mesh)
    cells = []
    for number, point in enumerate(points.double()):
        depth, cell = barycentric(point, origins, slopes).amin(-1).max(0)
        cells.append(cell if depth > -ROUNDING else _nearest_cell(mesh, point, number))
    return torch.stack(cells)


def _nearest_cell(mesh: Mesh, point: Float[Tensor, "3"], number: int) -> Int[Tensor, ""]:
    distance, nearest = distances_to_triangles(point, mesh.vertices.double()[mesh.boundary]).min(0)
    tolerance = TOLERANCE * (mesh.bounds[1] - mesh.bounds[0]).max().item()
    if distance > tolerance:
        raise ObservationError(
            f"{mesh.source}: points must lie in the body, or within {tolerance:.3g} m of it; point {number}, "
            f"{tuple(round(x, 6) for x in point.tolist())}, is {distance:.3g} m outside. Is it in m, and in "
            "the mesh's frame? For a marker on a rigid stand-off give the point at its foot, and the rest as "
            "standoffs=."
        )
    face = mesh.boundary[nearest]
    return (mesh.cells[:, :, None] == face).any(1).all(-1).long().argmax()


def neighbours(mesh: Mesh, cells: Int[Tensor, "K"]) -> Bool[Tensor, "K M"]:
    """Which cells share a vertex with each of these, themselves included."""
    return (mesh.cells[None, :, :, None] == mesh.cells[cells][:, None, None]).any(-1).any(-1)


def cells_within(mesh: Mesh, points: Float[Tensor, "K 3"], radius: float) -> Bool[Tensor, "K M"]:
    """Which cells have their centroids within `radius` [m] of each point."""
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
    mesh: Mesh, near: Bool[Tensor, "K M"], slopes: Float[Tensor, "M 4 3"]
) -> tuple[Int[Tensor, "K P"], Float[Tensor, "K P 3"]]:
    """Vertices and their G with sum of x Gᵀ the mean deformation gradient, by volume, of the cells near.

    Rows are padded with vertex 0 at G = 0.
    """
    vertices, gradients = [], []
    for cells in near:
        share = mesh.volumes.double()[cells] / mesh.volumes.double()[cells].sum()
        used, inverse = mesh.cells[cells].unique(return_inverse=True)
        parts = (share[:, None, None] * slopes[cells]).flatten(0, 1)
        vertices.append(used)
        gradients.append(parts.new_zeros((len(used), 3)).index_add(0, inverse.flatten(), parts))
    return pad_sequence(vertices, batch_first=True), pad_sequence(gradients, batch_first=True)
