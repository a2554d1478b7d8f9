"""Finite elements: geometry, deformation gradients, nodal forces, lumped masses."""

import pytest
import torch
from laws import array, matrix

from simlayer.elements import ELEMENT_TYPES, Elements
from simlayer.mesh import Mesh, box_mesh

pytestmark = pytest.mark.usefixtures("float64")

SIZE = (1.0, 0.6, 0.8)
batches = pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=["single", "batch", "two batch axes"])


@pytest.fixture
def mesh():
    """A box whose inner and outer vertices are moved about, so that no two cells are alike."""
    box = box_mesh(cells=(3, 2, 2), size=SIZE)
    return Mesh(box.vertices + 0.03 * torch.randn(len(box.vertices), 3), box.cells)


@pytest.fixture
def elements(mesh):
    return Elements(mesh)


def affine(mesh, *batch):
    """A random affine map per sample: A, and the mapped vertices."""
    A, b = torch.eye(3) + 0.3 * torch.randn(*batch, 3, 3), torch.randn(*batch, 1, 3)
    return A, mesh.vertices @ A.mT + b


# The contract of every element type; a newcomer joins through ELEMENT_TYPES.

every_type = pytest.mark.parametrize("element", ELEMENT_TYPES.values(), ids=ELEMENT_TYPES)


@every_type
def test_shape_functions_add_up_to_one_everywhere(element):
    gradients = element.shape_gradients(torch.rand(7, 3))
    assert gradients.shape == (7, element.num_corners, 3)
    # That the sum is constant shows in its gradient; rounding of C numbers of order one.
    assert gradients.sum(1).abs().max() < 1e-14


@every_type
def test_quadrature_is_exact_for_the_volume_and_the_centre(element):
    points, weights = torch.tensor(element.points), torch.tensor(element.weights)
    # The reference tetrahedron has volume 1/6 and its centre at (1/4, 1/4, 1/4).
    assert weights.sum().item() == pytest.approx(1 / 6, rel=1e-15)
    assert (weights @ points / weights.sum()).tolist() == pytest.approx([0.25] * 3, rel=1e-15)


# Geometry


def test_volumes_are_those_of_the_mesh_and_add_up_to_the_box():
    mesh = box_mesh(cells=(3, 2, 2), size=SIZE)
    elements = Elements(mesh)
    assert torch.allclose(elements.volumes, mesh.volumes, rtol=1e-14, atol=0)
    assert elements.volumes.sum().item() == pytest.approx(1.0 * 0.6 * 0.8, rel=1e-14)


@batches
def test_the_deformation_gradient_of_an_affine_map_is_its_matrix_in_every_cell(mesh, elements, batch):
    A, positions = affine(mesh, *batch)
    F = array(elements.deformation_gradient(positions))
    assert F.shape == (len(mesh.cells), *batch, 3, 3)
    # Rounding of positions of order one over edges of a few hundredths.
    assert torch.allclose(F, A.expand_as(F), rtol=0, atol=1e-13)


def test_the_deformation_gradient_of_a_translation_is_zero_to_the_last_bit(elements, mesh):
    # The shape functions' gradients add up to zero exactly, because corner 0 has none of its own.
    constant = torch.randn(3).expand(len(mesh.vertices), 3)
    assert array(elements.deformation_gradient(constant)).abs().max() == 0


def test_the_deformation_gradient_is_that_of_edge_matrices(mesh, elements):
    x = mesh.vertices + 0.1 * torch.randn_like(mesh.vertices)
    rest, now = ((p[mesh.cells][:, 1:] - p[mesh.cells][:, :1]).mT for p in (mesh.vertices, x))
    F = array(elements.deformation_gradient(x))
    assert torch.allclose(F, now @ torch.linalg.inv(rest), rtol=0, atol=1e-12)


@pytest.mark.parametrize("distance", [0.0, 100.0])
def test_in_single_precision_the_deformation_gradient_is_accurate_to_6e_7(distance):
    torch.set_default_dtype(torch.float32)
    mesh = box_mesh(cells=(10, 10, 10), origin=(distance,) * 3)
    x = mesh.vertices + 1e-3 * torch.randn(len(mesh.vertices), 3)
    F = array(Elements(mesh).deformation_gradient(x)).double()
    # The reference reads the same rounded positions: what is measured is the arithmetic, near the origin
    # and 1,000 cell sizes away, where absolute positions would leave an error of 1e-3.
    rest, now = (
        (p.double()[mesh.cells][:, 1:] - p.double()[mesh.cells][:, :1]).mT for p in (mesh.vertices, x)
    )
    # The float32 edges near F = I are exact, or rounded once; three products and sums add some eps = 6e-8.
    assert (F - now @ torch.linalg.inv(rest)).abs().max() < 6e-7


# Integrals


@batches
def test_the_integral_of_a_field_is_the_sum_over_cells_of_volume_times_value(elements, batch):
    field = torch.randn(elements.num_cells, *batch)
    expected = torch.einsum("m,m...->...", elements.volumes, field)
    assert torch.allclose(elements.integrate(field), expected, rtol=0, atol=1e-14)


@batches
def test_nodal_forces_are_minus_the_dual_of_the_deformation_gradient(mesh, elements, batch):
    P = torch.randn(elements.num_cells, *batch, 3, 3)
    direction = torch.randn(*batch, len(mesh.vertices), 3)
    forces = elements.forces(matrix(P))
    assert forces.shape == direction.shape
    power = elements.integrate(matrix(P).inner(elements.deformation_gradient(direction)))
    # A few hundred terms of order ten.
    assert torch.allclose((forces * direction).sum((-1, -2)), -power, rtol=0, atol=1e-11)


@batches
def test_nodal_forces_of_any_stress_add_up_to_zero(elements, batch):
    P = torch.randn(elements.num_cells, *batch, 3, 3)
    forces = elements.forces(matrix(P))
    assert forces.sum(-2).abs().max() < 1e-14 * len(P) * forces.abs().max()


def test_nodal_forces_of_a_symmetric_kirchhoff_stress_have_no_torque(mesh, elements):
    x = mesh.vertices + 0.05 * torch.randn_like(mesh.vertices)
    F, S = array(elements.deformation_gradient(x)), torch.randn(elements.num_cells, 3, 3)
    forces = elements.forces(matrix(F @ (S + S.mT)))
    torque = torch.linalg.cross(x, forces).sum(0)
    assert torque.abs().max() < 1e-14 * len(S) * forces.abs().max()


# Masses


def test_lumped_masses_add_up_to_density_times_volume(mesh, elements):
    for density in (torch.tensor(1000.0), torch.full((1,), 1000.0), 500 + torch.rand(elements.num_cells)):
        masses = elements.vertex_masses(density)
        total = (density * elements.volumes).sum()
        assert masses.shape == (len(mesh.vertices),)
        assert (masses > 0).all()
        assert torch.allclose(masses.sum(), total, rtol=1e-14, atol=0)


def test_each_cell_gives_equal_parts_of_its_mass_to_its_corners(mesh, elements):
    density = 500 + torch.rand(elements.num_cells)
    expected = torch.zeros(len(mesh.vertices))
    for cell, share in zip(mesh.cells, density * elements.volumes / 4, strict=True):
        expected[cell] += share
    assert torch.allclose(elements.vertex_masses(density), expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize("own", ["one", "cells"])
@pytest.mark.parametrize("batch", [(2,), (2, 3)])
def test_masses_of_a_batch_of_densities_are_those_one_by_one(mesh, elements, own, batch):
    density = 500 + torch.rand(*batch, 1 if own == "one" else elements.num_cells)
    masses = elements.vertex_masses(density)
    assert masses.shape == (*batch, len(mesh.vertices))
    for sample, one in zip(masses.flatten(0, -2), density.flatten(0, -2), strict=True):
        assert torch.allclose(sample, elements.vertex_masses(one), rtol=1e-14, atol=0)


def test_the_bound_of_shape_gradients_sums_over_all_corners(mesh, elements):
    # All four gradients of each cell, by solving for the linear functions that are one at a corner.
    corners = torch.cat([mesh.vertices[mesh.cells], torch.ones(len(mesh.cells), 4, 1)], -1)
    gradients = torch.linalg.inv(corners)[:, :3].mT
    expected = torch.einsum("mci,mcj->mij", gradients, gradients)
    assert torch.allclose(elements.gradient_products(), expected, rtol=1e-11, atol=0)
