"""The boundary surface: closed, outward, and the only place where a face has one cell."""

import math

import pytest
import torch
from support.meshes import ELEMENTS, wavy

from simlayer.elements.quadrature import gauss
from simlayer.elements.types import ELEMENT_TYPES
from simlayer.mesh.faces import boundary_and_owners, cell_faces, face_owners, interior_faces
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.primitives import box_mesh


@pytest.fixture(params=ELEMENTS)
def lump(request):
    """A box with wavy sides and mixed numbering."""
    box = box_mesh(cells=(4, 3, 5), size=(0.4, 0.3, 0.5), element=request.param)
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(box.vertices), generator=generator)
    vertices = torch.empty_like(box.vertices)
    vertices[order] = box.vertices + 0.02 * torch.sin(20 * box.vertices.roll(1, 1))
    return Mesh(vertices, order[box.cells][torch.randperm(len(box.cells), generator=generator)])


def test_every_face_has_two_cells_inside_and_one_on_the_boundary(lump):
    owners = face_owners(lump.cells, len(lump.vertices))
    assert set(owners.unique().tolist()) == {1, 2}
    assert (owners == 1).sum() == len(lump.boundary_faces)
    # Two faces of tetrahedra on each square of the six sides, or one of a hexahedron.
    assert len(lump.boundary_faces) == (2 if "tet" in lump.element else 1) * 2 * (4 * 3 + 3 * 5 + 4 * 5)
    cuts = {"tet4": 1, "tet10": 4, "hex8": 2, "hex20": 6}[lump.element]
    assert len(lump.boundary) == cuts * len(lump.boundary_faces)


def test_the_boundary_is_closed(lump):
    edges = torch.cat([lump.boundary[:, [0, 1]], lump.boundary[:, [1, 2]], lump.boundary[:, [2, 0]]])
    forth = set(map(tuple, edges.tolist()))
    assert len(forth) == len(edges)
    assert forth == {(b, a) for a, b in forth}


def test_the_boundary_of_a_box_has_the_euler_characteristic_of_a_sphere(lump):
    edges = torch.cat([lump.boundary[:, [0, 1]], lump.boundary[:, [1, 2]], lump.boundary[:, [2, 0]]])
    edge_count = len(edges.sort(1).values.unique(dim=0))
    assert len(lump.boundary.unique()) - edge_count + len(lump.boundary) == 2


def test_the_flux_of_position_through_the_faces_of_the_boundary_is_three_volumes(lump):
    face = ELEMENT_TYPES[lump.element].face
    # Squares of the Gauss points that mass needs: exact for normals times positions, of degree 3 + 2.
    rule = gauss(2, 4) if "hex" in lump.element else face.rule
    points, weights = rule.tensors()
    x = lump.vertices.double()[lump.boundary_faces]
    where = torch.einsum("qk,ski->sqi", face.shape.functions(points), x)
    first, second = torch.einsum("qkd,ski->dsqi", face.shape.gradients(points), x)
    flux = (weights * (where * torch.linalg.cross(first, second)).sum(-1)).sum()
    assert flux.item() / 3 == pytest.approx(lump.volumes.double().sum().item(), rel=1e-5)


def test_the_flux_of_position_through_the_boundary_of_tetrahedra_is_three_volumes():
    lump = wavy("tet4")
    a, b, c = lump.vertices.double()[lump.boundary].unbind(1)
    flux = ((a + b + c) / 3 * torch.linalg.cross(b - a, c - a) / 2).sum()
    # The divergence theorem is exact for flat triangles; the volumes are sums in float32.
    assert flux.item() / 3 == pytest.approx(lump.volumes.double().sum().item(), rel=1e-5)


@pytest.mark.parametrize("element", ELEMENTS)
def test_every_face_looks_away_from_its_cell(element):
    mesh = box_mesh(cells=(1, 1, 1), element=element)
    faces = cell_faces(mesh.cells)
    for face, cell in zip(faces.flatten(0, 1), mesh.cells.repeat_interleave(faces.shape[1], 0), strict=True):
        a, b, c = mesh.vertices[face[:3]]
        inward = mesh.vertices[cell].mean(0) - a
        assert torch.linalg.cross(b - a, c - a) @ inward < 0


def area(vertices, triangles):
    a, b, c = vertices[triangles].unbind(1)
    return torch.linalg.cross(b - a, c - a).norm(dim=1) / 2


def test_every_interior_face_is_a_face_of_both_of_its_cells(lump):
    cells, triangles = interior_faces(lump.cells, len(lump.vertices))
    for side in cells.unbind(1):
        assert (lump.cells[side][:, :, None] == triangles[:, None]).any(1).all()
    assert (cells[:, 0] != cells[:, 1]).all()
    assert len(cells.sort(1).values.unique(dim=0)) == len(cells) // cuts(lump)


def cuts(mesh):
    """Triangles of a face."""
    return len(ELEMENT_TYPES[mesh.element].face.triangles)


def test_the_triangles_of_a_cell_are_two_for_each_inside_and_one_for_each_outside(lump):
    cells, _ = interior_faces(lump.cells, len(lump.vertices))
    outside = boundary_and_owners(lump.cells, len(lump.vertices))[1]
    triangles = torch.cat([cells.flatten(), outside]).bincount(minlength=len(lump.cells))
    assert (triangles == len(ELEMENT_TYPES[lump.element].faces) * cuts(lump)).all()


def test_an_interior_face_points_from_its_first_cell_to_its_second(lump):
    cells, triangles = interior_faces(lump.cells, len(lump.vertices))
    middles = lump.vertices[lump.cells].mean(1)
    a, b, c = lump.vertices[triangles].unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    assert ((middles[cells[:, 1]] - a) * normal).sum(1).min() > 0
    assert ((middles[cells[:, 0]] - a) * normal).sum(1).max() < 0


def test_the_faces_inside_a_box_have_the_areas_of_its_cuts():
    mesh = box_mesh(cells=(2, 1, 1))
    _, triangles = interior_faces(mesh.cells, len(mesh.vertices))
    inside = area(mesh.vertices, triangles)
    middle = (mesh.vertices[triangles][:, :, 0] == 0.5).all(1)
    assert inside[middle].sum().item() == pytest.approx(1.0)
    # Each box of 1/2 x 1 x 1 is cut by three planes through its diagonal, along x, y and z.
    planes = 2 * (math.hypot(1, 1) / 2 + 2 * math.hypot(0.5, 1))
    assert inside[~middle].sum().item() == pytest.approx(planes)


def test_a_cell_alone_has_no_face_inside():
    cells, triangles = interior_faces(torch.tensor([[0, 1, 2, 3]]), 4)
    assert cells.shape == (0, 2)
    assert triangles.shape == (0, 3)


def test_every_boundary_triangle_is_a_face_of_its_owner(lump):
    triangles, owners = boundary_and_owners(lump.cells, len(lump.vertices))
    assert torch.equal(triangles, lump.boundary)
    assert (lump.cells[owners][:, :, None] == triangles[:, None]).any(1).all()
