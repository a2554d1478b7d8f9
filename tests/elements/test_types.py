"""The tables of elements: nodes, edges, faces and their order, which is that of VTK."""

import meshio
import pytest
import torch

from simlayer.elements.types import ELEMENT_TYPES
from simlayer.mesh.meshio_files import MESHIO_NAMES

pytestmark = pytest.mark.usefixtures("float64")
every_type = pytest.mark.parametrize("element", ELEMENT_TYPES.values(), ids=ELEMENT_TYPES)


def nodes(element):
    return torch.tensor(element.shape.nodes)


@every_type
def test_an_element_has_the_number_of_nodes_that_meshio_gives_it(element):
    assert element.num_nodes == meshio._mesh.num_nodes_per_cell[MESHIO_NAMES[element.name]]


@every_type
def test_a_node_after_the_corners_is_the_middle_of_an_edge(element):
    middles = [edge[2] for edge in element.edges if len(edge) == 3]
    assert sorted(middles) == list(range(element.num_corners, element.num_nodes))
    for first, second, *middle in element.edges:
        assert {first, second} <= set(range(element.num_corners))
        for node in middle:
            assert torch.equal(nodes(element)[node], (nodes(element)[first] + nodes(element)[second]) / 2)


def test_the_nodes_of_quadratic_elements_are_in_the_order_of_vtk():
    # From the figures of vtkQuadraticTetra and vtkQuadraticHexahedron: the ends of the edge of each middle.
    tetrahedron = [(0, 1), (1, 2), (2, 0), (0, 3), (1, 3), (2, 3)]
    cube = [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)]
    for name, edges in (("tet10", tetrahedron), ("hex20", cube)):
        found = nodes(ELEMENT_TYPES[name])
        expected = torch.stack([(found[a] + found[b]) / 2 for a, b in edges])
        assert torch.equal(found[ELEMENT_TYPES[name].num_corners :], expected)


@every_type
def test_faces_lie_flat_and_point_outward(element):
    x, centre = nodes(element), nodes(element).mean(0)
    for face in element.faces:
        a, b, c = x[list(face[:3])]
        normal = torch.linalg.cross(b - a, c - a)
        assert torch.equal((x[list(face)] - a) @ normal, torch.zeros(len(face)))
        assert (a - centre) @ normal > 0


@every_type
def test_the_nodes_of_a_face_are_in_the_order_of_its_shape_functions(element):
    shape = element.face.shape
    points, _ = element.face.rule.tensors()
    for face in element.faces:
        x = nodes(element)[list(face)]
        # The corners alone span the face; its middles must lie where the reference face has them.
        a, b, c = x[0], x[1], x[element.face_corners - 1]
        flat = a + points[:, :1] * (b - a) + points[:, 1:] * (c - a)
        assert torch.allclose(shape.functions(points) @ x, flat, rtol=0, atol=1e-14)


@every_type
def test_the_triangles_of_a_face_cover_it_once_and_keep_its_side(element):
    reference = torch.tensor(element.face.shape.nodes)
    a, b, c = reference[torch.tensor(element.face.triangles)].unbind(1)
    areas = torch.linalg.det(torch.stack([b - a, c - a], -1)) / 2
    assert areas.min() > 0
    assert areas.sum().item() == (0.5 if element.is_simplex else 1.0)
    assert set(torch.tensor(element.face.triangles).flatten().tolist()) == set(range(len(reference)))


@every_type
def test_the_mirrored_order_turns_the_cell_inside_out(element):
    shape, order = element.shape, list(element.inversion_order)
    assert sorted(order) == list(range(element.num_nodes))
    slopes = shape.gradients(torch.tensor(element.rule.points))
    jacobian = torch.einsum("ci,qcj->qij", nodes(element)[order], slopes)
    assert torch.allclose(torch.linalg.det(jacobian), -torch.ones(len(slopes)), rtol=0, atol=1e-13)


@every_type
def test_face_and_edge_rules_see_every_combination_of_shape_functions(element):
    for facet in (element.face, element.edge):
        points, weights = facet.rule.tensors()
        N = facet.shape.functions(points)
        mass = N.T @ (weights[:, None] * N)
        assert torch.linalg.eigvalsh(mass)[0] > 0
        assert mass.sum().item() == pytest.approx(weights.sum().item(), rel=1e-14)
