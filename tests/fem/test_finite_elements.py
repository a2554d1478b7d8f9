"""Finite elements: geometry, deformation gradients, nodal forces, lumped masses."""

import numpy as np
import pytest
import torch
from support.materials import array, matrix
from support.meshes import DEGREES, ELEMENTS, straightened, twisted, uneven, wavy

from simlayer.elements.types import ELEMENT_TYPES
from simlayer.fem.finite_elements import FiniteElements
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.primitives import box_mesh

pytestmark = pytest.mark.usefixtures("float64")

SIZE = (1.0, 0.6, 0.8)
batches = pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=["single", "batch", "two batch axes"])
every_element = pytest.mark.parametrize("element", ELEMENTS)


@pytest.fixture(params=ELEMENTS)
def mesh(request):
    """A box with wavy sides, so that no two cells are alike, of every element."""
    return wavy(request.param)


@pytest.fixture
def elements(mesh):
    return FiniteElements(mesh)


def fields(elements, *batch):
    """Random matrices in every cell, or at every quadrature point of it."""
    return torch.randn(*elements.weights.shape, *batch, 3, 3)


def volumes(mesh):
    """By an independent rule with more points than any other here: 5 x 5 x 5, folded for simplices."""
    element = ELEMENT_TYPES[mesh.element]
    x, w = (torch.from_numpy(a) / 2 for a in np.polynomial.legendre.leggauss(5))
    points = torch.cartesian_prod(x + 0.5, x + 0.5, x + 0.5)
    weights = torch.cartesian_prod(w, w, w).prod(1)
    if element.is_simplex:
        a, b, c = points.unbind(1)
        points = torch.stack([a, b * (1 - a), c * (1 - a) * (1 - b)], 1)
        weights = weights * (1 - a) ** 2 * (1 - b)
    slopes = element.shape.gradients(points)
    return weights @ torch.linalg.det(torch.einsum("mci,pcj->pmij", mesh.vertices[mesh.cells], slopes))


def affine(mesh, *batch):
    """A random affine map per sample: A, and the mapped vertices."""
    A, b = torch.eye(3) + 0.3 * torch.randn(*batch, 3, 3), torch.randn(*batch, 1, 3)
    return A, mesh.vertices @ A.mT + b


# Geometry


def test_volumes_are_exact_where_edges_are_curved(mesh):
    assert torch.allclose(mesh.volumes, volumes(mesh), rtol=1e-13, atol=0)


@every_element
def test_volumes_are_those_of_the_mesh_and_add_up_to_the_box(element):
    mesh = box_mesh(cells=(3, 2, 2), size=SIZE, element=element)
    elements = FiniteElements(mesh)
    assert torch.allclose(elements.volumes, mesh.volumes, rtol=1e-13, atol=0)
    assert elements.volumes.sum().item() == pytest.approx(1.0 * 0.6 * 0.8, rel=1e-14)


@batches
def test_the_deformation_gradient_of_an_affine_map_is_its_matrix_in_every_cell(mesh, elements, batch):
    A, positions = affine(mesh, *batch)
    F = array(elements.deformation_gradient(positions))
    assert F.shape == (*elements.weights.shape, *batch, 3, 3)
    # Rounding of positions of order one over edges of a few hundredths.
    assert torch.allclose(F, A.expand_as(F), rtol=0, atol=1e-13)


def test_the_deformation_gradient_of_a_translation_is_zero_to_the_last_bit(elements, mesh):
    # The shape functions' gradients add up to zero exactly, because node 0 has none of its own.
    constant = torch.randn(3).expand(len(mesh.vertices), 3)
    assert array(elements.deformation_gradient(constant)).abs().max() == 0


@every_element
def test_the_deformation_gradient_of_a_polynomial_of_the_elements_degree_is_its_own(element):
    # Straight edges: in curved cells, shape functions are no polynomials in space.
    box = box_mesh(cells=(2, 2, 2), size=SIZE, element=element)
    sheared = box.vertices @ (torch.eye(3) + 0.3 * torch.randn(3, 3))
    mesh = Mesh(sheared, box.cells)
    A, b = torch.randn(3, 3), torch.randn(3, 3, 3) * (DEGREES[element] - 1)
    X = mesh.vertices
    elements = FiniteElements(mesh)
    F = array(elements.deformation_gradient(X @ A.mT + torch.einsum("ijk,nj,nk->ni", b, X, X)))
    points = ELEMENT_TYPES[element].rule.tensors()[0]
    at = torch.einsum("qc,mci->qmi", ELEMENT_TYPES[element].shape.functions(points), X[mesh.cells])
    exact = A + torch.einsum("ijk,qmk->qmij", b + b.mT, at)
    # Products of numbers of order ten.
    assert torch.allclose(F, exact if elements.weights.ndim == 2 else exact[0], rtol=0, atol=1e-12)


def test_the_deformation_gradient_is_that_of_edge_matrices():
    mesh = wavy("tet4")
    elements = FiniteElements(mesh)
    x = mesh.vertices + 0.1 * torch.randn_like(mesh.vertices)
    rest, now = ((p[mesh.cells][:, 1:] - p[mesh.cells][:, :1]).mT for p in (mesh.vertices, x))
    F = array(elements.deformation_gradient(x))
    assert torch.allclose(F, now @ torch.linalg.inv(rest), rtol=0, atol=1e-12)


@pytest.mark.parametrize("distance", [0.0, 100.0])
def test_in_single_precision_the_deformation_gradient_is_accurate_to_6e_7(distance):
    torch.set_default_dtype(torch.float32)
    mesh = box_mesh(cells=(10, 10, 10), origin=(distance,) * 3)
    x = mesh.vertices + 1e-3 * torch.randn(len(mesh.vertices), 3)
    F = array(FiniteElements(mesh).deformation_gradient(x)).double()
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
    field = torch.randn(*elements.weights.shape, *batch)
    weights = elements.weights.reshape(*elements.weights.shape, *[1] * len(batch))
    expected = (weights * field).flatten(0, -1 - len(batch)).sum(0)
    assert torch.allclose(elements.integrate(field), expected, rtol=0, atol=1e-14)


@batches
def test_nodal_forces_are_minus_the_dual_of_the_deformation_gradient(mesh, elements, batch):
    P = fields(elements, *batch)
    direction = torch.randn(*batch, len(mesh.vertices), 3)
    forces = elements.forces(matrix(P))
    assert forces.shape == direction.shape
    power = elements.integrate(matrix(P).inner(elements.deformation_gradient(direction)))
    # A few hundred terms of order ten.
    assert torch.allclose((forces * direction).sum((-1, -2)), -power, rtol=0, atol=1e-11)


@batches
def test_nodal_forces_of_any_stress_add_up_to_zero(elements, batch):
    P = fields(elements, *batch)
    forces = elements.forces(matrix(P))
    assert forces.sum(-2).abs().max() < 1e-14 * elements.weights.numel() * forces.abs().max()


def test_nodal_forces_of_a_symmetric_kirchhoff_stress_have_no_torque(mesh, elements):
    x = mesh.vertices + 0.05 * torch.randn_like(mesh.vertices)
    F, S = array(elements.deformation_gradient(x)), fields(elements)
    forces = elements.forces(matrix(F @ (S + S.mT)))
    torque = torch.linalg.cross(x, forces).sum(0)
    assert torque.abs().max() < 1e-14 * elements.weights.numel() * forces.abs().max()


# Masses


def test_lumped_masses_add_up_to_density_times_volume(mesh, elements):
    for density in (torch.tensor(1000.0), torch.full((1,), 1000.0), 500 + torch.rand(elements.num_cells)):
        masses = elements.vertex_masses(density)
        total = (density * volumes(mesh)).sum()
        assert masses.shape == (len(mesh.vertices),)
        assert (masses > 0).all()
        assert torch.allclose(masses.sum(), total, rtol=1e-13, atol=0)


def test_each_tetrahedron_gives_equal_parts_of_its_mass_to_its_corners():
    mesh = wavy("tet4")
    elements = FiniteElements(mesh)
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


@every_element
def test_lumped_masses_of_a_box_are_the_scaled_diagonal_of_the_consistent_mass(element):
    mesh = box_mesh(cells=(3, 2, 2), size=SIZE, element=element)
    elements = FiniteElements(mesh)
    density = 500 + torch.rand(elements.num_cells)
    blocks = elements.mass_blocks(density)
    diagonal = blocks.diagonal(dim1=-2, dim2=-1)
    shares = diagonal / diagonal.sum(-1, keepdim=True) * blocks.sum((-1, -2))[:, None]
    expected = torch.zeros(len(mesh.vertices)).index_add(0, mesh.cells.flatten(), shares.flatten())
    assert torch.allclose(elements.vertex_masses(density), expected, rtol=1e-13, atol=0)


@every_element
def test_lumped_masses_have_the_centre_of_mass_of_the_body_in_curved_cells(element):
    mesh = uneven(element, amount=0.03)
    elements = FiniteElements(mesh)
    density = 500 + 500 * torch.rand(elements.num_cells)
    lumped = elements.vertex_masses(density)
    # Where x is a sum of shape functions, so is its integral, of the consistent mass.
    consistent = elements.mass_blocks(density).sum(1)
    moments = torch.einsum("mc,mci->i", consistent, mesh.vertices[mesh.cells])
    assert lumped.min() > 0
    assert torch.allclose(lumped @ mesh.vertices, moments, rtol=1e-13, atol=0)


@every_element
def test_the_consistent_mass_gives_the_kinetic_energy_of_a_polynomial_velocity(element):
    # On [0, 1] x [0, 0.6] x [0, 0.8]: the integral of (x + 2 y)², or of (x² + 2 y z)² where that is followed.
    box = box_mesh(cells=(3, 2, 2), size=SIZE, element=element)
    x, y, z = box.vertices.unbind(1)
    v = x + 2 * y if DEGREES[element] == 1 else x**2 + 2 * y * z
    linear = 0.8 * (0.6 / 3 + 4 * 0.6**2 / 2 / 2 + 4 * 0.6**3 / 3)
    mixed = 0.6 * 0.8 / 5 + 4 * (1 / 3) * (0.6**2 / 2) * (0.8**2 / 2) + 4 * (0.6**3 / 3) * (0.8**3 / 3)
    nodal = v[box.cells]
    found = torch.einsum("ma,mab,mb->", nodal, FiniteElements(box).mass_blocks(torch.tensor(2.0)), nodal)
    assert found.item() == pytest.approx(2 * (linear if DEGREES[element] == 1 else mixed), rel=1e-13)


@pytest.mark.parametrize("own", [(), (2, 1), (2, "cells")])
def test_the_blocks_of_the_consistent_mass_take_densities_as_lumped_masses_do(mesh, elements, own):
    density = 500 + torch.rand([elements.num_cells if n == "cells" else n for n in own])
    blocks = elements.mass_blocks(density)
    assert blocks.shape == (*own[:1], elements.num_cells, elements.nodes_per_cell, elements.nodes_per_cell)
    total = elements.vertex_masses(density).sum(-1)
    assert torch.allclose(blocks.sum((-1, -2, -3)), total, rtol=1e-13, atol=0)


# Stiffness


def test_stiffness_blocks_are_the_second_derivative_of_the_integral(mesh, elements):
    H = fields(elements).flatten(-2)[..., None] * fields(elements).flatten(-2)[..., None, :]
    H = H + H.mT
    u = torch.randn(len(mesh.vertices), 3)
    dF = array(elements.deformation_gradient(u)).flatten(-2)
    twice = elements.integrate(torch.einsum("...i,...ij,...j->...", dF, H, dF))
    nodal = u[mesh.cells].flatten(-2)
    blocks = elements.stiffness_blocks(H)
    found = torch.einsum("mi,mij,mj->", nodal, blocks, nodal)
    # Thousands of terms of order one hundred.
    assert found.item() == pytest.approx(twice.item(), abs=1e-10 * float(blocks.abs().sum()))


def test_bounds_at_rest_are_the_largest_eigenvalues_of_pressure_and_of_shear(mesh, elements):
    shape = elements.weights.shape
    identity = torch.eye(3).flatten()
    pressure, shear = elements.rest_eigenvalue_bounds()
    for unit, expected in ((torch.outer(identity, identity), pressure), (torch.eye(9), shear)):
        found = elements.largest_eigenvalue(unit.expand(*shape, 9, 9))
        assert torch.allclose(found, expected, rtol=1e-11, atol=0)


@every_element
def test_the_largest_eigenvalue_weighs_nodes_by_their_masses(element):
    mesh = twisted(element)
    elements, H = FiniteElements(mesh), torch.eye(9)
    blocks = elements.stiffness_blocks(H.expand(*elements.weights.shape, 9, 9))
    masses = torch.stack(
        [FiniteElements(Mesh(mesh.vertices[c], _one(c))).vertex_masses(torch.tensor(1.0)) for c in mesh.cells]
    )
    W = (masses / masses.mean(1, keepdim=True)).repeat_interleave(3, 1)
    expected = torch.linalg.eigvals(blocks / W[:, :, None]).real.amax(1)
    found = elements.largest_eigenvalue(H.expand(*elements.weights.shape, 9, 9))
    assert torch.allclose(found, expected, rtol=1e-10, atol=0)


def _one(cell):
    return torch.arange(len(cell))[None]


def test_reduced_quadrature_is_refused_where_there_is_none():
    assert FiniteElements(wavy("hex20"), quadrature="reduced").weights.shape[0] == 8
    with pytest.raises(ValueError, match="quadrature of hex8 must be 'full', got 'reduced'"):
        FiniteElements(wavy("hex8"), quadrature="reduced")


@every_element
def test_a_single_cell_has_no_motion_without_stiffness_but_the_six_rigid_ones(element):
    nodes = torch.tensor(ELEMENT_TYPES[element].shape.nodes)
    elements = FiniteElements(Mesh(straightened(nodes, _one(nodes)), _one(nodes)))
    # Of energy |e|², e the small strain.
    P = torch.einsum("ik,jl->ijkl", torch.eye(3), torch.eye(3))
    H = (P + P.transpose(2, 3)).reshape(9, 9) / 2
    eigenvalues = torch.linalg.eigvalsh(elements.stiffness_blocks(H.expand(*elements.weights.shape, 9, 9))[0])
    assert eigenvalues[5].abs() < 1e-13
    assert eigenvalues[6] > 1e-3
