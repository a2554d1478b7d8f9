"""What follows from rest positions: as for the mesh that has them, sample by sample, with derivatives."""

import pytest
import torch
from support.meshes import ELEMENTS
from support.shapes import block, other_shape

from simlayer import DistributedLoad, Mesh
from simlayer.fem.finite_elements import FiniteElements
from simlayer.fem.surface import lumped_areas
from simlayer.linalg import Matrix3
from simlayer.quantities import NamedTensors

pytestmark = pytest.mark.usefixtures("float64")

every_element = pytest.mark.parametrize("element", ELEMENTS)


def remeshed(mesh, vertices):
    return Mesh(vertices, mesh.cells, vertex_sets=mesh.vertex_sets)


def at(elements, rest_positions):
    return NamedTensors(elements).substituted(elements.at_rest_positions(rest_positions))


@every_element
def test_at_the_vertices_of_the_mesh_all_is_as_in_the_mesh(element):
    elements = FiniteElements(block(element))
    for name, value in elements.at_rest_positions(elements.mesh.vertices).items():
        assert name == "reshaped" or torch.equal(value, getattr(elements, name))


@every_element
def test_at_the_vertices_of_another_mesh_all_is_as_in_that_mesh(element):
    mesh = block(element)
    shapes = other_shape(mesh, 2)
    elements, (first, second) = FiniteElements(mesh), (FiniteElements(remeshed(mesh, x)) for x in shapes)
    density, x = torch.rand(len(mesh.cells)), torch.randn(2, *mesh.vertices.shape)
    tangent = torch.rand(2, *first.weights.shape, 9, 9)
    with at(elements, shapes):
        F = elements.deformation_gradient(x)
        together = {
            "volumes": elements.volumes,
            "masses": elements.vertex_masses(density),
            "mass product": elements.mass_product(density, x),
            "mass blocks": elements.mass_blocks(density),
            "stiffness": elements.stiffness_blocks(tangent),
            "forces": elements.forces(F),
            "integral": elements.integrate(F.det()),
            "eigenvalues": torch.stack(elements.rest_eigenvalue_bounds(), 1),
            "largest": elements.largest_eigenvalue(tangent + tangent.mT),
        }
    for index, own in enumerate((first, second)):
        F = own.deformation_gradient(x[index])
        alone = {
            "volumes": own.volumes,
            "masses": own.vertex_masses(density),
            "mass product": own.mass_product(density, x[index]),
            "mass blocks": own.mass_blocks(density),
            "stiffness": own.stiffness_blocks(tangent[index]),
            "forces": own.forces(F),
            "integral": own.integrate(F.det()),
            "eigenvalues": torch.stack(own.rest_eigenvalue_bounds()),
            "largest": own.largest_eigenvalue(tangent[index] + tangent[index].mT),
        }
        for name, value in alone.items():
            # The same formulas, in another order of sums.
            assert torch.allclose(together[name][index], value, rtol=1e-11, atol=1e-11), name


@every_element
def test_geometry_masses_and_forces_have_the_derivatives_of_differences(element):
    elements = FiniteElements(block(element))
    x, shape = torch.randn_like(elements.mesh.vertices), other_shape(elements.mesh).requires_grad_()

    def results(rest_positions):
        with at(elements, rest_positions):
            forces = elements.forces(Matrix3(*(each.sin() for each in elements.deformation_gradient(x))))
            product = elements.mass_product(torch.tensor(2.0), x)
            return elements.volumes, elements.vertex_masses(torch.tensor(2.0)), forces, product

    # Along random directions; differences have an error of 1e-6² times a third derivative, and rounding.
    assert torch.autograd.gradcheck(results, shape, eps=1e-6, atol=1e-7, rtol=1e-6, fast_mode=True)


@every_element
def test_areas_are_those_of_the_mesh_with_these_vertices_with_their_derivatives(element):
    mesh = block(element)
    shapes = other_shape(mesh, 2).requires_grad_()
    for shape, areas in zip(shapes, lumped_areas(mesh, shapes), strict=True):
        assert torch.allclose(areas, lumped_areas(remeshed(mesh, shape.detach())), rtol=1e-13, atol=1e-15)
    assert torch.autograd.gradcheck(lambda x: lumped_areas(mesh, x), shapes, fast_mode=True)


@every_element
def test_a_traction_is_kept_where_the_area_changes_and_a_force_is_kept_as_it_is(element):
    mesh, stretch = block(element), torch.tensor([1.0, 1.5, 2.0])
    pressed = DistributedLoad.of_traction(mesh, "x_max", traction=(0.0, 0.0, -7.0))
    pulled = DistributedLoad(mesh, "x_max", force=(3.0, 0.0, 0.0))
    before, loads = pressed.force.clone(), []
    for load in (pressed, pulled):
        with NamedTensors(load).substituted(load.at_rest_positions(mesh.vertices * stretch)):
            loads.append(load.nodal_forces.sum(0))
    expected = DistributedLoad.of_traction(
        remeshed(mesh, mesh.vertices * stretch), "x_max", traction=(0.0, 0.0, -7.0)
    )
    assert torch.allclose(loads[0], expected.force, rtol=1e-12)
    # An even face grows by 3; this one is a little uneven.
    assert float(loads[0][2] / before[2]) == pytest.approx(3, rel=1e-2)
    assert torch.allclose(loads[1], torch.tensor([3.0, 0.0, 0.0]), rtol=1e-12, atol=1e-12)
