"""Elastic forces on every element: patch test, rigid motion, derivatives, masses, stability, convergence."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve
from support.materials import rotations
from support.meshes import DEGREES, ELEMENTS, twisted, uneven, wavy

from simlayer import (
    ElasticForce,
    LinearElastic,
    Mesh,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
)
from simlayer.elements.types import ELEMENT_TYPES
from simlayer.fem.finite_elements import FiniteElements

pytestmark = pytest.mark.usefixtures("float64")

E, NU = 1e5, 0.4
# With the rule that each may have besides its own.
KINDS = [(element, "full") for element in ELEMENTS] + [("tet10", "reduced"), ("hex20", "reduced")]
every_element = pytest.mark.parametrize("element", ELEMENTS)
every_kind = pytest.mark.parametrize(("element", "quadrature"), KINDS)


@cache
def _body(element):
    return wavy(element)


@cache
def _elastic(element, quadrature="full"):
    # Once for all tests, because tracing takes a second.
    return ElasticForce(_body(element), StableNeoHookean(E, NU), quadrature=quadrature).requires_grad_(False)


def at_rest(x):
    return State.at_rest(x)


def deformed(element, *batch, amount=0.01):
    """Random positions, of cells a third of a metre wide."""
    x = _body(element).vertices
    return x + amount * torch.randn(*batch, *x.shape)


def assembled(blocks, cells):
    """A sparse matrix over the components of vertices, from blocks `(M, D, D)`."""
    rows = (3 * cells[..., None] + torch.arange(3)).flatten(1)
    pairs = torch.broadcast_tensors(rows[:, :, None], rows[:, None])
    values, (i, j) = blocks.flatten().numpy(), (index.flatten().numpy() for index in pairs)
    return coo_array((values, (i, j)), shape=(3 * int(cells.max()) + 3,) * 2).tocsr()


# Fields that an element must reproduce


def affine_forces(mesh, quadrature):
    """The largest force of a random affine map at the inner vertices of a mesh, and on its surface."""
    force = ElasticForce(mesh, StableNeoHookean(E, NU), quadrature=quadrature)
    inner = torch.ones(len(mesh.vertices), dtype=torch.bool)
    inner[mesh.boundary_faces.flatten()] = False
    assert inner.any()
    forces = force(at_rest(mesh.vertices @ (torch.eye(3) + 0.1 * torch.randn(3, 3)))).norm(dim=-1)
    return forces[inner].max(), forces[~inner].max()


@every_kind
def test_an_affine_field_leaves_inner_vertices_without_force_on_a_distorted_mesh(element, quadrature):
    inside, outside = affine_forces(twisted(element, (3, 2, 2)), quadrature)
    assert inside < 1e-12 * outside


@every_kind
def test_an_affine_field_leaves_inner_vertices_without_force_in_curved_cells(element, quadrature):
    inside, outside = affine_forces(uneven(element, (3, 2, 2), amount=0.02), quadrature)
    # Reduced rules are as far from it as the docstring of FiniteElements says, for nodes moved by 1 to 3 %.
    assert inside < (1e-12 if quadrature == "full" else 2e-3) * outside


@pytest.mark.parametrize("element", ["tet10", "hex20"])
def test_edges_that_are_bent_by_no_more_than_rounding_take_the_rule_for_straight_ones(element):
    straight, rough = twisted(element), uneven(element, (2, 2, 2), amount=2e-6)
    assert FiniteElements(rough).weights.shape[0] == FiniteElements(straight).weights.shape[0]
    assert FiniteElements(uneven(element)).weights.shape[0] > FiniteElements(straight).weights.shape[0]
    inside, outside = affine_forces(rough, "full")
    assert inside < 1e-5 * outside


@every_kind
def test_a_rigid_motion_makes_no_force_and_no_energy(element, quadrature):
    force = _elastic(element, quadrature)
    x = _body(element).vertices @ rotations().T + torch.randn(3)
    assert force(at_rest(x)).abs().max() < 1e-12 * E
    assert abs(force.energy(x)) < 1e-14 * E


@every_kind
def test_forces_and_torques_of_a_deformed_body_add_up_to_zero(element, quadrature):
    x = deformed(element, 2)
    forces = _elastic(element, quadrature)(at_rest(x))
    # Sums of thousands of terms.
    assert forces.sum(1).abs().max() < 1e-12 * forces.abs().max()
    assert torch.linalg.cross(x, forces).sum(1).abs().max() < 1e-11 * forces.abs().max()


@pytest.mark.parametrize("element", ["tet10", "hex20"])
def test_the_energy_of_a_quadratic_displacement_is_exact(element):
    # u = a (y², 0, 0), a shear of 2 a y: energy mu/2 (2 a y)² over [0, 1] x [0, 0.6] x [0, 0.8].
    mesh, a = box_mesh(cells=(3, 2, 2), size=(1.0, 0.6, 0.8), element=element), 0.01
    x = mesh.vertices.clone()
    x[:, 0] += a * mesh.vertices[:, 1] ** 2
    energy = ElasticForce(mesh, LinearElastic(E, NU)).energy(x)
    mu = E / (2 * (1 + NU))
    assert float(energy) == pytest.approx(2 * mu * a**2 * 0.6**3 / 3 * 0.8, rel=1e-12)


# Derivatives


@every_kind
def test_the_force_is_minus_the_gradient_of_the_energy(element, quadrature):
    force, x = _elastic(element, quadrature), deformed(element, 2).requires_grad_()
    (slope,) = torch.autograd.grad(force.energy(x).sum(), x)
    assert torch.allclose(force(at_rest(x)), -slope, rtol=0, atol=1e-13 * E)


@every_kind
def test_blocks_of_the_hessian_multiply_like_it_and_like_a_difference_of_forces(element, quadrature):
    force, x = _elastic(element, quadrature), deformed(element)
    u, h = torch.randn_like(x), 1e-5
    product = force.hessian_product(x, u)
    matrix = assembled(force.hessian_blocks(x), force.connectivity)
    assert np.allclose(matrix @ u.flatten().numpy(), product.flatten().numpy(), rtol=0, atol=1e-11 * E)
    difference = (force(at_rest(x - h * u)) - force(at_rest(x + h * u))) / (2 * h)
    # A central difference: h² times a third derivative over cells of 0.3, rounding over h.
    assert torch.allclose(difference, product, rtol=0, atol=1e-6 * float(product.abs().max()))


@every_kind
@pytest.mark.parametrize("own", [(), (2, 1), (2, "cells")])
def test_blocks_of_a_batch_are_those_of_its_samples(element, quadrature, own):
    force, x = _elastic(element, quadrature), deformed(element, 2)
    cells = len(_body(element).cells)
    modulus = E * (1 + torch.rand([cells if n == "cells" else n for n in own]))
    try:
        force.material.youngs_modulus = modulus
        together = force.hessian_blocks(x)
        assert together.shape[:2] == (2, cells)
        for k in range(2):
            force.material.youngs_modulus = modulus[k] if own else modulus
            assert torch.allclose(together[k], force.hessian_blocks(x[k]), rtol=0, atol=1e-12 * E)
    finally:
        force.material.youngs_modulus = E


@pytest.mark.parametrize(
    ("element", "deterministic"), [("tet4", False), ("tet10", True), ("hex8", True), ("hex20", False)]
)
def test_a_value_per_cell_or_region_of_each_sample_gives_the_forces_of_the_samples(element, deterministic):
    mesh, x = _body(element), deformed(element, 2)
    regions = (mesh.vertices[mesh.cells].mean(1)[:, 0] > 0.5).long()
    by_cell = ElasticForce(mesh, StableNeoHookean(E, NU), deterministic=deterministic)
    by_region = ElasticForce(mesh, StableNeoHookean(E, NU), regions=regions, deterministic=deterministic)
    modulus = E * (1 + torch.rand(2, 2))
    by_region.material.youngs_modulus, by_cell.material.youngs_modulus = modulus, modulus[:, regions]
    together = by_region(at_rest(x))
    assert torch.allclose(together, by_cell(at_rest(x)), rtol=0, atol=1e-13 * E)
    energies = by_region.energy(x)
    for k in range(2):
        by_cell.material.youngs_modulus = modulus[k, regions]
        assert torch.allclose(together[k], by_cell(at_rest(x[k])), rtol=0, atol=1e-13 * E)
        assert float(energies[k]) == pytest.approx(float(by_cell.energy(x[k])), rel=1e-12)
        bound = by_region.stiffness_bound(at_rest(x))[k]
        assert torch.allclose(bound, by_cell.stiffness_bound(at_rest(x[k])), rtol=1e-11, atol=0)


@every_kind
def test_projected_blocks_have_no_negative_eigenvalue(element, quadrature):
    force, x = _elastic(element, quadrature), deformed(element, amount=0.05)
    plain, projected = (torch.linalg.eigvalsh(force.hessian_blocks(x, projected=p)) for p in (False, True))
    assert plain.min() < -1e-3 * E
    assert projected.min() > -1e-10 * E


@every_element
def test_forces_have_right_derivatives_in_positions_and_coefficients(element):
    mesh = box_mesh(cells=(1, 1, 1), element=element)
    force = ElasticForce(mesh, StableNeoHookean(1.0, 0.3))
    x = (mesh.vertices + 0.02 * torch.randn_like(mesh.vertices)).requires_grad_()
    log_modulus = torch.rand(len(mesh.cells), requires_grad=True)

    def forces(x, log_modulus):
        swapped = {"material.log_youngs_modulus": log_modulus}
        return torch.func.functional_call(force, swapped, (at_rest(x),))

    assert torch.autograd.gradcheck(forces, (x, log_modulus), fast_mode=True)
    assert torch.autograd.gradgradcheck(forces, (x, log_modulus), fast_mode=True)


# Stability of explicit steps


def step_of(element, quadrature, dt=1.0, nu=NU):
    mesh = twisted(element, (2, 1, 1))
    force = ElasticForce(mesh, StableNeoHookean(E, nu), quadrature=quadrature)
    return mesh, SymplecticEuler(mesh, {"elastic": force}, dt=dt)


def critical_dt(mesh, step):
    """2/w with w the highest frequency of the whole body, of lumped masses."""
    force = step.forces["elastic"]
    K = assembled(force.hessian_blocks(mesh.vertices), force.connectivity).toarray()
    scale = step.inverse_masses.sqrt().repeat_interleave(3).detach().numpy()
    return 2 / math.sqrt(np.linalg.eigvalsh(scale[:, None] * K * scale)[-1])


# One cell thick: the motions without stiffness that the rule leaves are warned of, and of no matter here.
@pytest.mark.filterwarnings("ignore:.*hourglass modes")
@every_kind
@pytest.mark.parametrize("nu", [0.0, 0.49])
def test_the_stable_time_step_is_below_the_critical_one_and_not_far(element, quadrature, nu):
    mesh, step = step_of(element, quadrature, nu=nu)
    step.requires_grad_(False)
    critical = critical_dt(mesh, step)
    stable, cheap = step.stable_dt(at_rest(mesh.vertices)), float(step.stable_dts())
    assert cheap <= stable * (1 + 1e-12)
    assert 0.5 * critical < stable <= critical
    assert cheap > 0.4 * critical


# One cell thick: the motions without stiffness that the rule leaves are warned of, and of no matter here.
@pytest.mark.filterwarnings("ignore:.*hourglass modes")
@every_kind
def test_a_rollout_is_bounded_just_below_the_stable_time_step_and_not_above_the_critical_one(
    element, quadrature
):
    mesh, step = step_of(element, quadrature)
    step.requires_grad_(False)
    start = at_rest(mesh.vertices + 1e-5 * torch.randn_like(mesh.vertices))
    step.dt = 0.95 * step.stable_dt(start)
    end = RolloutModule(step, 500, compile=False)(start)
    assert (end.positions - mesh.vertices).abs().max() < 1e-3
    step.dt = 1.1 * critical_dt(mesh, step)
    end = RolloutModule(step, 100, compile=False, validate=False)(start)
    assert not (end.positions - mesh.vertices).abs().max() < 1.0


# Convergence


def manufactured(X):
    """A smooth displacement that is zero on the sides of the unit cube, and the load that makes it."""
    mu, lam = 1 / (2 * (1 + 0.3)), 0.3 / ((1 + 0.3) * (1 - 0.6))
    a = torch.tensor([1.0, -0.5, 0.8])

    def displacement(x):
        return a * torch.sin(math.pi * x).prod(-1, keepdim=True)

    s, c = torch.sin(math.pi * X), torch.cos(math.pi * X)
    bubble = s.prod(-1, keepdim=True)
    # Second derivatives of the bubble: -pi² on the diagonal, cosines off it.
    hessian = -(math.pi**2) * bubble[..., None] * torch.eye(3)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        mixed = math.pi**2 * c[..., i] * c[..., j] * s[..., k]
        hessian[..., i, j] += mixed
        hessian[..., j, i] += mixed
    laplacian = a * hessian.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True)
    return displacement(X), -(mu * laplacian + (lam + mu) * (hessian @ a))


def at_points(mesh, rule):
    """Shape functions at the points of a rule, where they are, and weights."""
    element = ELEMENT_TYPES[mesh.element]
    points, weights = rule.tensors()
    N = element.shape.functions(points)
    slopes = element.shape.gradients(points)
    corners = mesh.vertices[mesh.cells]
    J = torch.linalg.det(torch.einsum("mci,qcj->qmij", corners, slopes))
    return N, torch.einsum("qc,mci->qmi", N, corners), weights[:, None] * J


def error(element, n):
    """In L2, of the solution of a linear problem with the forces of the manufactured one, on n³ boxes."""
    box = box_mesh(cells=(n, n, n), element=element)
    # The same smooth distortion of every mesh, which keeps the sides.
    bubble = torch.sin(math.pi * box.vertices).prod(1, keepdim=True)
    mesh = Mesh(box.vertices + 0.08 * bubble, box.cells)
    N, X, weights = at_points(mesh, ELEMENT_TYPES[element].mass_rule)
    _, load = manufactured(X)
    shares = torch.einsum("qm,qc,qmi->mci", weights, N, load)
    right = torch.zeros_like(mesh.vertices).index_add(0, mesh.cells.flatten(), shares.flatten(0, 1))
    force = ElasticForce(mesh, LinearElastic(1.0, 0.3)).requires_grad_(False)
    K = assembled(force.hessian_blocks(mesh.vertices), force.connectivity)
    sides = ((box.vertices == 0) | (box.vertices == 1)).any(1)
    free = (~sides).repeat_interleave(3).nonzero().flatten().numpy()
    u = torch.zeros(mesh.vertices.numel())
    u[free] = torch.from_numpy(spsolve(K[free][:, free].tocsc(), right.flatten().numpy()[free]))
    found = torch.einsum("qc,mci->qmi", N, u.view(-1, 3)[mesh.cells])
    exact, _ = manufactured(X)
    return float((weights * (found - exact).square().sum(-1)).sum().sqrt())


@every_element
def test_displacements_converge_with_one_order_more_than_the_degree_of_the_element(element):
    coarse, fine = {"tet4": (8, 12), "hex8": (4, 8), "tet10": (4, 6), "hex20": (6, 8)}[element]
    order = math.log(error(element, coarse) / error(element, fine)) / math.log(fine / coarse)
    # The last tenths of an order come on finer meshes: 1.6, 1.7, 1.79 for tet4 on 6, 8, 12 boxes a side.
    assert order == pytest.approx(DEGREES[element] + 1, abs=0.25)


def test_elements_take_the_precision_of_the_mesh():
    torch.set_default_dtype(torch.float32)
    elements = FiniteElements(box_mesh(cells=(1, 1, 1), element="hex20"))
    assert {buffer.dtype for buffer in elements.buffers() if buffer.is_floating_point()} == {torch.float32}
