"""The boundary surface: closed, outward, and the only place where a face has one cell."""

import pytest
import torch

from simlayer.boundary import cell_faces, face_owners
from simlayer.mesh import Mesh, box_mesh


@pytest.fixture
def lump():
    """A box with wavy sides and mixed numbering, in double precision."""
    box = box_mesh(cells=(4, 3, 5), size=(0.4, 0.3, 0.5))
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(box.vertices), generator=generator)
    vertices = torch.empty_like(box.vertices)
    vertices[order] = box.vertices + 0.02 * torch.sin(20 * box.vertices.roll(1, 1))
    return Mesh(vertices, order[box.cells][torch.randperm(len(box.cells), generator=generator)])


def test_every_face_has_two_cells_inside_and_one_on_the_boundary(lump):
    owners = face_owners(lump.cells, len(lump.vertices))
    assert set(owners.unique().tolist()) == {1, 2}
    assert (owners == 1).sum() == len(lump.boundary)
    # Two triangles on each square of the six sides.
    assert len(lump.boundary) == 2 * 2 * (4 * 3 + 3 * 5 + 4 * 5)


def test_the_boundary_is_closed(lump):
    edges = torch.cat([lump.boundary[:, [0, 1]], lump.boundary[:, [1, 2]], lump.boundary[:, [2, 0]]])
    forth = set(map(tuple, edges.tolist()))
    assert len(forth) == len(edges)
    assert forth == {(b, a) for a, b in forth}


def test_the_boundary_of_a_box_has_the_euler_characteristic_of_a_sphere(lump):
    edges = torch.cat([lump.boundary[:, [0, 1]], lump.boundary[:, [1, 2]], lump.boundary[:, [2, 0]]])
    edge_count = len(edges.sort(1).values.unique(dim=0))
    assert len(lump.boundary.unique()) - edge_count + len(lump.boundary) == 2


def test_the_flux_of_position_through_the_boundary_is_three_volumes(lump):
    a, b, c = lump.vertices.double()[lump.boundary].unbind(1)
    flux = ((a + b + c) / 3 * torch.linalg.cross(b - a, c - a) / 2).sum()
    # The divergence theorem is exact for flat triangles; the volumes are sums in float32.
    assert flux.item() / 3 == pytest.approx(lump.volumes.double().sum().item(), rel=1e-5)


def test_every_boundary_triangle_faces_away_from_its_cell():
    mesh = box_mesh(cells=(1, 1, 1))
    for face, cell in zip(
        cell_faces(mesh.cells).flatten(0, 1), mesh.cells.repeat_interleave(4, 0), strict=True
    ):
        a, b, c = mesh.vertices[face]
        inward = mesh.vertices[cell].mean(0) - a
        assert torch.linalg.cross(b - a, c - a) @ inward < 0
