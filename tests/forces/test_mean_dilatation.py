"""Cells that change their volume as a whole: derivatives, mixed and exact solutions, stresses, refusals."""

import math

import pytest
import torch

from simlayer import (
    BackwardEuler,
    DistributedLoad,
    ElasticForce,
    Equilibrium,
    MeanDilatationForce,
    Mesh,
    NeoHookean,
    Newmark,
    RolloutModule,
    StableNeoHookean,
    State,
    box_mesh,
    check_gradients,
    readouts,
)

pytestmark = pytest.mark.usefixtures("float64")

ELEMENTS = ("hex8", "tet10", "hex20")
every_element = pytest.mark.parametrize("element", ELEMENTS)


def deformed(element, *batch):
    mesh = box_mesh(cells=(2, 1, 1), element=element)
    positions = mesh.vertices + 0.04 * torch.randn(*batch, *mesh.vertices.shape)
    return MeanDilatationForce(mesh, NeoHookean(1e5, 0.45)), positions


def close(found, expected, tolerance):
    return float((found - expected).abs().max()) <= tolerance * float(expected.abs().max())


@every_element
def test_forces_are_minus_the_gradient_of_the_energy(element):
    force, x = deformed(element, 3)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(force.energy(x).sum(), x)
    assert close(force(State.at_rest(x.detach())), -gradient, 1e-13)


@every_element
def test_hessians_are_the_derivatives_of_forces(element):
    force, x = deformed(element, 2)
    direction, step = torch.randn_like(x), 1e-6
    product = force.hessian_product(x, direction)
    ends = [-force(State.at_rest(x + sign * step * direction)) for sign in (1, -1)]
    assert close(product, (ends[0] - ends[1]) / (2 * step), 1e-7)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad((force(State.at_rest(x)) * direction).sum(), x)
    assert close(product, -gradient, 1e-12)
    cells = force.elements.mesh.cells
    blocks = force.hessian_blocks(x.detach())
    parts = torch.einsum("...mij,...mj->...mi", blocks, direction[:, cells].flatten(-2)).unflatten(
        -1, (-1, 3)
    )
    total = torch.zeros_like(direction).index_add_(1, cells.flatten(), parts.flatten(1, 2))
    assert close(total, product, 1e-12)


@every_element
def test_projected_hessians_are_semidefinite_and_unchanged_where_they_are_so(element):
    force, x = deformed(element)
    squashed = x * torch.tensor([0.4, 1.0, 1.0])
    values = torch.linalg.eigvalsh(force.hessian_blocks(squashed, projected=True))
    assert float(values.min()) > -1e-12 * float(values.max())
    assert float(torch.linalg.eigvalsh(force.hessian_blocks(squashed)).min()) < -1e-3 * float(values.max())


@every_element
def test_a_uniform_deformation_has_the_forces_of_every_elastic_force(element):
    force, _ = deformed(element)
    plain = ElasticForce(force.elements.mesh, NeoHookean(1e5, 0.45))
    x = force.elements.mesh.vertices @ torch.tensor([[1.2, 0.3, 0.0], [0.1, 0.9, 0.2], [0.0, 0.1, 1.1]])
    assert close(force(State.at_rest(x)), plain(State.at_rest(x)), 1e-12)


def test_the_bound_at_rest_is_above_the_stiffness():
    for element in ELEMENTS:
        force, _ = deformed(element)
        at_rest = State.at_rest(force.elements.mesh.vertices)
        assert bool((force.stiffness_bound(None) >= force.stiffness_bound(at_rest)).all())


def cooks_membrane(element, count, kind, poissons_ratio=0.4999):
    """Return the mean deflection of the loaded side's middle, over that load, in plane strain; E = 1 Pa."""
    box = box_mesh(cells=(count, count, 1), size=(1.0, 1.0, 1 / count), element=element)
    x, y, z = box.vertices.unbind(-1)
    mesh = Mesh(torch.stack([48 * x, 44 * x + y * (44 - 28 * x), 48 * z], -1), box.cells)
    fixed = torch.zeros(len(x), 3, dtype=torch.bool)
    fixed[:, 2], fixed[x < 1e-9] = True, True
    load = 1e-6 * 48 / count
    forces = {
        "elastic": kind(mesh, NeoHookean(1.0, poissons_ratio)),
        "load": DistributedLoad(mesh, x > 1 - 1e-9, force=(0.0, load, 0.0)),
    }
    end = Equilibrium(mesh, forces, fixed=fixed)(State.at_rest(mesh.vertices))
    middle = ((mesh.vertices[:, :2] - torch.tensor([48.0, 52.0])).norm(dim=-1) < 1e-9).nonzero().flatten()
    return float((end.positions - mesh.vertices)[middle, 1].mean()) / 1e-6


@pytest.mark.parametrize(("element", "count"), [("hex8", 32), ("tet10", 8)])
def test_a_nearly_incompressible_membrane_bends_as_a_mixed_method_says(element, count):
    # Taylor-Hood triangles (P2/P1) on 8 to 128 divisions, by scikit-fem: 18.476, 18.495, in the limit 18.511.
    assert cooks_membrane(element, count, MeanDilatationForce) == pytest.approx(18.511, rel=1e-2)
    assert cooks_membrane(element, count, ElasticForce) < 0.95 * 18.511  # so does it lock without


def annulus(element, count):
    """A quarter of a ring from 1 to 2 m, and its radii."""
    box = box_mesh(cells=(count, count, 1), size=(1.0, 1.0, 0.2), element=element)
    a, b, z = box.vertices.unbind(-1)
    radius, angle = 1 + a, b * math.pi / 2
    return Mesh(torch.stack([radius * angle.cos(), radius * angle.sin(), z], -1), box.cells), radius


@pytest.mark.parametrize(("element", "count"), [("hex8", 8), ("tet10", 4)])
def test_a_thick_tube_that_is_widened_by_half_needs_the_pressure_of_an_incompressible_one(element, count):
    mesh, radius = annulus(element, count)
    mu, inner = 1e5, radius < 1 + 1e-9
    fixed = torch.zeros(len(radius), 3, dtype=torch.bool)
    fixed[:, 2], fixed[inner] = True, True
    fixed[:, 0] |= mesh.vertices[:, 0] < 1e-9
    fixed[:, 1] |= mesh.vertices[:, 1] < 1e-9
    growth = 1.5**2 - 1
    grown = (radius**2 + growth).sqrt() / radius
    start = mesh.vertices * torch.stack([grown, grown, torch.ones_like(grown)], -1)
    force = MeanDilatationForce(mesh, NeoHookean(2 * mu * 1.4999, 0.4999))
    step = Equilibrium(mesh, {"elastic": force}, fixed=fixed)
    end = step(State.at_rest(start))
    reactions = readouts.nodal_reactions(step, end)[inner]
    directions = end.positions[inner] / end.positions[inner].norm(dim=-1, keepdim=True)
    directions[:, 2] = 0.0
    area = 1.5 * math.pi / 2 * 0.2
    # The integral of mu (l² - 1/l²) dr/r over the wall, with l = r/R.
    r = torch.linspace(1.5, math.sqrt(4 + growth), 20001)
    square = r**2 / (r**2 - growth)
    exact = float(torch.trapezoid(mu * (square - 1 / square) / r, r))
    assert float((reactions * directions).sum()) / area == pytest.approx(exact, rel=1e-2)


def test_the_pressure_is_the_same_in_all_of_a_cell():
    force, x = deformed("hex8")
    step = Equilibrium(force.elements.mesh, {"elastic": force}, fixed=torch.ones(12, dtype=torch.bool))
    stress = readouts.cauchy_stress(step, State.at_rest(x))
    assert close(stress, stress.mT, 1e-12)
    pressure = stress.diagonal(dim1=-2, dim2=-1).mean(-1)
    assert close(pressure, pressure[:, :1].expand_as(pressure), 1e-12)


@pytest.mark.parametrize("kind", [Equilibrium, BackwardEuler, Newmark])
def test_gradients_through_implicit_steps_are_those_of_finite_differences(kind):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1), element="hex8")
    force = MeanDilatationForce(mesh, StableNeoHookean(1e4, 0.49))
    left = mesh.vertices[:, 0] < 1e-9
    step = kind(mesh, {"elastic": force}, dt=0.02, gravity=(0.0, 0.0, -9.81), fixed=left)
    rollout, start = RolloutModule(step, 1 if kind is Equilibrium else 3), State.at_rest(mesh.vertices)

    def loss(end):
        return (end.positions - start.positions).square().sum()

    names = ["youngs_modulus", "poissons_ratio", "rest_positions"]
    assert check_gradients(rollout, start, loss, names).passed


def test_a_beam_in_a_long_implicit_step_comes_to_rest_where_the_equilibrium_is():
    mesh = box_mesh(cells=(4, 1, 1), size=(0.4, 0.1, 0.1), element="hex8")
    force, left = MeanDilatationForce(mesh, StableNeoHookean(1e5, 0.4999)), mesh.vertices[:, 0] < 1e-9
    options = {"gravity": (0.0, 0.0, -1.0), "fixed": left}
    start = State.at_rest(mesh.vertices)
    rest = Equilibrium(mesh, {"elastic": force}, **options)(start)
    step = BackwardEuler(mesh, {"elastic": force}, dt=1.0, mass_matrix="consistent", **options)
    moved = RolloutModule(step, 20)(start)
    assert close(moved.positions - mesh.vertices, rest.positions - mesh.vertices, 1e-6)


@pytest.mark.unchecked
def test_cells_with_one_point_are_refused():
    with pytest.raises(ValueError, match=r"several quadrature points, got tet4: use to_quadratic_elements"):
        MeanDilatationForce(box_mesh(cells=(1, 1, 1)), NeoHookean(1e5, 0.4999))
