import pytest
import torch
from support.meshes import wavy
from support.scenes import noise

from simlayer import ElasticForce, StableNeoHookean, State, SymplecticEuler, readouts

pytestmark = pytest.mark.usefixtures("float64")
ELEMENTS = ["tet4", "tet10", "hex8", "hex20"]


def step_of(mesh, **options):
    return SymplecticEuler(
        mesh, {"elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.3), **options)}, dt=1e-6
    )


@pytest.mark.parametrize("element", ELEMENTS)
def test_a_linear_field_is_projected_onto_itself(element):
    mesh = wavy(element, amount=0.0)
    step = step_of(mesh)
    points = readouts.quadrature_points(step, State.at_rest(mesh.vertices))
    slope = torch.tensor([2.0, -1.0, 3.0])
    if element == "tet4":  # one point per cell: the cell's mean
        field = torch.full(points.shape[:-1], 4.0)
        exact = torch.full((len(mesh.vertices),), 4.0)
    else:
        field, exact = 1 + points @ slope, 1 + mesh.vertices @ slope
    found = readouts.project_to_vertices(step, field)
    torch.testing.assert_close(found, exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("own", [(), (3,), (3, 3)])
def test_numbers_vectors_and_matrices_are_projected_component_by_component(own):
    mesh = wavy("hex8")
    step = step_of(mesh)
    field = noise(2, len(mesh.cells), 8, *own)
    found = readouts.project_to_vertices(step, field)
    assert found.shape == (2, len(mesh.vertices), *own)
    single = field.reshape(2, len(mesh.cells), 8, -1)[1, ..., -1]
    torch.testing.assert_close(
        found.reshape(2, len(mesh.vertices), -1)[1, :, -1], readouts.project_to_vertices(step, single)
    )


def test_the_integral_of_a_field_is_that_of_its_projection():
    mesh = wavy("hex20")
    step = step_of(mesh, quadrature="reduced")
    elements = step.forces["elastic"].elements
    field = noise(len(mesh.cells), 8)
    integral = (field * elements.weights.movedim(0, -1)).sum()
    found = readouts.project_to_vertices(step, field)
    over_vertices = step.elements.mass_product(torch.tensor(1.0), found[:, None].expand(-1, 3)).sum(0)
    # Shape functions add up to one, whatever the shape of cells.
    torch.testing.assert_close(over_vertices, integral.expand(3), rtol=1e-9, atol=0)


def test_a_projection_has_exact_derivatives_by_the_field():
    mesh = wavy("hex8", cells=(1, 1, 2))
    step = step_of(mesh)
    field = noise(2, 8).requires_grad_()
    assert torch.autograd.gradcheck(lambda f: readouts.project_to_vertices(step, f), (field,))


def test_a_field_of_another_shape_is_refused():
    mesh = wavy("hex8")
    with pytest.raises(ValueError, match=r"12, 8"):
        readouts.project_to_vertices(step_of(mesh), noise(len(mesh.cells), 4))
