"""Distances from a surface: those of a search through all triangles, with the derivatives of differences."""

import pytest
import torch

from simlayer import ball_mesh
from simlayer.fem.point_location import distances_to_triangles
from simlayer.identification.closest_points import barycentric, signed_distances

pytestmark = pytest.mark.usefixtures("float64")


def surface():
    mesh = ball_mesh(cells=4, radius=0.1)
    generator = torch.Generator().manual_seed(0)
    return mesh.vertices + 0.003 * torch.randn(mesh.vertices.shape, generator=generator), mesh.boundary


def cloud(count=200, size=0.12):
    return size * (2 * torch.rand(count, 3, generator=torch.Generator().manual_seed(1)) - 1)


def test_distances_are_the_least_of_those_from_all_triangles():
    positions, triangles = surface()
    # Far away, on both sides, and at the vertices themselves.
    points = torch.cat([cloud(), 20 * cloud(20), positions[triangles[:5, 0]]])
    found = signed_distances(points, positions, triangles)
    expected = torch.stack([distances_to_triangles(p, positions[triangles]).min() for p in points])
    torch.testing.assert_close(found.abs(), expected, rtol=1e-12, atol=1e-15)


def test_distances_are_positive_outside():
    mesh = ball_mesh(cells=4, radius=0.1)
    directions = torch.nn.functional.normalize(cloud(50), dim=1)
    for radius, sign in ((0.12, 1), (0.05, -1)):
        assert (sign * signed_distances(radius * directions, mesh.vertices, mesh.boundary) > 0).all()


def test_derivatives_are_those_of_differences():
    positions, triangles = surface()
    points = cloud(20).requires_grad_()
    # Where the closest triangle changes, first derivatives are continuous but on the medial axis.
    torch.autograd.gradcheck(
        lambda p, x: signed_distances(p, x, triangles),
        (points, positions.requires_grad_()),
        atol=1e-6,
        eps=1e-7,
    )


def test_forward_mode_gives_the_derivatives_of_reverse_mode_in_a_batch_of_directions():
    positions, triangles = surface()
    points = cloud(30)

    def distances(scale):
        return signed_distances(points, scale * positions, triangles)

    scale = torch.tensor(1.1)
    forward = torch.func.jacfwd(distances)(scale)
    reverse = torch.autograd.functional.jacobian(distances, scale)
    torch.testing.assert_close(forward, reverse)


def test_a_batch_is_its_members_one_by_one():
    positions, triangles = surface()
    moved = torch.stack([positions, 1.2 * positions, positions + 0.01])
    points = cloud(30)
    together = signed_distances(points, moved, triangles)
    alone = [signed_distances(points, x, triangles) for x in moved]
    torch.testing.assert_close(together, torch.stack(alone))
    mapped = torch.func.vmap(lambda x: signed_distances(points, x, triangles))(moved)
    torch.testing.assert_close(mapped, together)


def test_the_closest_points_of_a_triangle_are_inside_on_an_edge_or_at_a_corner():
    triangle = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    points = torch.tensor([[0.25, 0.25, 3], [0.5, -1, 1], [2, -1, 0], [-1, -1, 0], [1, 1, 0]])
    expected = torch.tensor([[0.5, 0.25, 0.25], [0.5, 0.5, 0], [0, 1, 0], [1, 0, 0], [0, 0.5, 0.5]])
    torch.testing.assert_close(barycentric(points, triangle.expand(5, 3, 3)), expected)
