"""The parts of a surface that belong to its vertices."""

import pytest
import torch
from support.meshes import ELEMENTS, twisted, wavy

from simlayer import box_mesh
from simlayer.fem.surface import lumped_areas

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("body", [wavy, twisted])
def test_areas_are_positive_on_the_surface_and_zero_inside(element, body):
    mesh = body(element, cells=(3, 3, 3))
    areas = lumped_areas(mesh)
    on_surface = torch.zeros(len(areas), dtype=torch.bool)
    on_surface[mesh.boundary_faces.unique()] = True
    assert (areas[on_surface] > 0).all()
    assert (areas[~on_surface] == 0).all()
    assert not on_surface.all()


@pytest.mark.parametrize("element", ELEMENTS)
def test_areas_add_up_to_that_of_the_surface(element):
    mesh = box_mesh(cells=(3, 2, 2), size=(1.0, 0.6, 0.8), element=element)
    assert float(lumped_areas(mesh).sum()) == pytest.approx(2 * (0.6 + 0.8 + 0.48), rel=1e-13)


def test_a_vertex_has_a_third_of_the_triangles_around_it():
    mesh = wavy("tet4")
    corners = mesh.vertices[mesh.boundary]
    areas = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=-1) / 2
    expected = torch.zeros(len(mesh.vertices)).index_add(
        0, mesh.boundary.flatten(), (areas / 3).repeat_interleave(3)
    )
    assert torch.allclose(lumped_areas(mesh), expected, rtol=1e-13)


def test_a_vertex_has_a_quarter_of_the_squares_around_it():
    areas = lumped_areas(box_mesh(cells=(2, 2, 2), element="hex8"))
    # A corner has three squares of a quarter, the middles of edges and of sides four.
    assert sorted(set(areas.mul(48).round().tolist())) == [0.0, 9.0, 12.0]
