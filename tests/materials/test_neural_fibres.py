"""The learned material with fibres: what holds whatever its weights, and that fibres stiffen it."""

import pytest
import torch
from support.materials import array, lame, matrix, rotations

from simlayer import (
    BackwardEuler,
    ElasticForce,
    NeuralFibreReinforced,
    RolloutModule,
    State,
    SymplecticEuler,
    box_mesh,
    check_gradients,
    check_material,
)
from simlayer.forces.elastic import traced_energy_density

pytestmark = pytest.mark.usefixtures("float64")

E, NU = 1e5, 0.4
FIBRE = (1.0, 2.0, -0.5)


def made(seed=0, fibres=FIBRE, spread=1.0, **options):
    """A material with weights far from the first ones."""
    torch.manual_seed(seed)
    material = NeuralFibreReinforced(E, NU, fibres, **options)
    with torch.no_grad():
        for weight in material.network.parameters():
            weight += spread * torch.randn_like(weight)
    return material


@pytest.mark.parametrize("seed", range(6))
def test_whatever_it_learned_it_is_polyconvex_and_has_no_stress_at_rest_but_is_not_isotropic(seed):
    report = check_material(made(seed), stretches=(0.3, 3.0))
    assert report.passed, report
    assert not report["isotropy"].passed


def test_it_is_isotropic_about_the_fibres_and_does_not_tell_one_end_of_them_from_the_other():
    material, a = made(), torch.tensor(FIBRE)
    a = a / a.norm()
    F = rotations(20) + 0.3 * torch.randn(20, 3, 3)
    about = rotations(1)[0]  # turned until its axis is along the fibres
    values, vectors = torch.linalg.eig(about)
    axis = vectors[:, (values - 1).abs().argmin()].real
    onto = 2 * torch.outer(axis + a, axis + a) / (axis + a).square().sum() - torch.eye(3)
    turn = onto @ about @ onto.T
    psi = material.energy_density(matrix(F))
    assert torch.allclose(turn @ a, a, atol=1e-12)
    assert torch.allclose(material.energy_density(matrix(F @ turn)), psi, rtol=1e-10)
    assert torch.allclose(made(fibres=-2 * a).energy_density(matrix(F)), psi, rtol=1e-12)


@pytest.mark.parametrize("nu", [-0.5, 0.3, 0.49])
def test_whatever_it_learned_its_small_strain_moduli_are_the_given_ones(nu):
    material = made(1)
    material.poissons_ratio = nu
    mu, lam = lame(E, nu)
    d = torch.eye(3)
    expected = lam * torch.einsum("ij,kl->ijkl", d, d)
    expected += mu * (torch.einsum("ik,jl->ijkl", d, d) + torch.einsum("il,jk->ijkl", d, d))
    density = traced_energy_density(material)
    with torch.no_grad():
        tangent = density.hessian(density.coefficients(material), matrix(d[None]), point_axes=1)[0]
    # nu = 0.49 magnifies the rounding of nu itself by 1 / (1 - 2 nu) = 50.
    assert torch.allclose(tangent, expected.reshape(9, 9), rtol=0, atol=1e-10 * (2 * mu + abs(lam)))


def test_it_is_stiffer_along_stretched_fibres_than_across_and_the_same_where_they_get_shorter():
    material = made(fibres=(1.0, 0.0, 0.0), spread=0.0)

    def tension(stretch, axis):
        stretches = torch.full((3,), stretch**-0.5)
        stretches[axis] = stretch
        F = torch.diag(stretches)[None].requires_grad_()
        (P,) = torch.autograd.grad(material.energy_density(matrix(F)).sum(), F)
        return float(P[0, axis, axis] - P[0, axis - 1, axis - 1] * stretch**-1.5)

    assert tension(1.4, 0) > 1.1 * tension(1.4, 1)
    # Across, a stretch makes areas smaller that cross the fibres, and fibres shorter: neither counts.
    other = made(fibres=(0.0, 0.0, 1.0), spread=0.0)
    F = matrix(torch.diag(torch.tensor([1.0, 0.8, 0.9]))[None])
    assert torch.equal(material.energy_density(F), other.energy_density(F))


def test_fibres_of_cells_are_those_of_each_cell():
    mesh = box_mesh(cells=(2, 1, 1))
    count = len(mesh.cells)
    directions = torch.randn(count, 3)
    force = ElasticForce(mesh, made(2, fibres=directions))
    x = mesh.vertices + 0.1 * torch.randn(4, *mesh.vertices.shape)
    F = array(force.elements.deformation_gradient(x))  # (M, B, 3, 3)
    weights = force.elements.weights
    expected = torch.zeros(4)
    for cell in range(count):
        own = made(2, fibres=directions[cell])
        expected += weights[cell] * own.energy_density(matrix(F[cell])).detach()
    assert torch.allclose(force.energy(x), expected, rtol=1e-12)


def test_fibres_of_regions_are_those_of_the_region_of_each_cell():
    mesh = box_mesh(cells=(2, 1, 1))
    regions = torch.arange(len(mesh.cells)) % 2
    two = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    x = mesh.vertices + 0.1 * torch.randn(*mesh.vertices.shape)
    by_region = ElasticForce(mesh, made(2, fibres=two), regions=regions)
    by_cell = ElasticForce(mesh, made(2, fibres=two[regions]))
    assert torch.equal(by_region(State.at_rest(x)), by_cell(State.at_rest(x)))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (SymplecticEuler, {"compile": False, "checkpoint": 2}),
        (SymplecticEuler, {"compile": "eager", "checkpoint": 2}),
        (BackwardEuler, {"compile": False}),
    ],
    ids=str,
)
def test_gradients_of_weights_and_moduli_are_central_differences(kind, options):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    material = made(hidden=(3, 2), fibres=torch.randn(len(mesh.cells), 3), spread=0.2)
    step = kind(mesh, {"elastic": ElasticForce(mesh, material)}, dt=5e-4, fixed=mesh.vertices[:, 0] < 1e-9)
    start = State(mesh.vertices, 20 * mesh.vertices * torch.tensor([1.0, 0.5, -1.0]))
    names = ["network.free_weight", "network.biases.0", "network.log_weights.0", "youngs_modulus"]
    report = check_gradients(
        RolloutModule(step, 6, **options), start, lambda end: end.positions.square().sum() * 1e3, names
    )
    assert report.passed, report


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("fibres", "message"),
    [
        ((0.0, 0.0, 0.0), r"fibres must be finite and not zero, got \[0.0, 0.0, 0.0\]"),
        (torch.ones(2, 2), r"fibres must be one direction \(3,\) or several \(M, 3\)"),
        ([[1.0, 0.0, 0.0], [0.0, torch.nan, 1.0]], "got .* in row 1"),
    ],
)
def test_fibres_without_a_direction_are_refused(fibres, message):
    with pytest.raises(ValueError, match=message):
        NeuralFibreReinforced(E, NU, fibres)


def test_fibres_of_another_number_of_cells_are_refused():
    with pytest.raises(ValueError, match=r"one per cell or region \(6, 3\), got shape \(4, 3\)"):
        ElasticForce(box_mesh(cells=(1, 1, 1)), made(fibres=torch.ones(4, 3)))
