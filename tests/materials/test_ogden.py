"""Ogden's material: tests of a laboratory, stretches that coincide, terms by name, and what it refuses."""

import pytest
import torch
from support.materials import matrix, ogden, rotations

from simlayer import ElasticForce, Ogden, RolloutModule, State, SymplecticEuler, box_mesh, check_gradients
from simlayer.forces.elastic import traced_energy_density

pytestmark = pytest.mark.usefixtures("float64")

MU, ALPHA, K = (0.618, 0.00118, -0.00981), (1.3, 5.0, -2.0), 1e3
# Lateral stretches of incompressible tests, as powers of the stretch, and how many sides pull.
TESTS = {"uniaxial": (-0.5, -0.5, 1), "planar": (0.0, -1.0, 1), "equibiaxial": (1.0, -2.0, 2)}


def nominal_stress(material, stretch, second, third, sides):
    """The derivative of the energy along an isochoric path, for each of the sides that pull."""
    x = torch.tensor(stretch, requires_grad=True)
    o = torch.zeros(())
    F = torch.stack([x, o, o, o, x**second, o, o, o, x**third]).unflatten(0, (3, 3))
    (slope,) = torch.autograd.grad(material.energy_density(matrix(F)), x)
    return slope.item() / sides


@pytest.mark.parametrize("stretch", [0.5, 1.1, 3.0, 6.0])
@pytest.mark.parametrize("test", TESTS)
def test_the_nominal_stress_is_that_of_ogdens_paper(test, stretch):
    # Ogden 1972: sum mu (l^(a-1) - l^(third a - 1)), third the exponent of the side that is free of stress.
    third = {"uniaxial": -0.5, "planar": -1.0, "equibiaxial": -2.0}[test]
    exact = sum(
        mu * (stretch ** (a - 1) - stretch ** (third * a - 1)) for mu, a in zip(MU, ALPHA, strict=True)
    )
    material = Ogden(MU, ALPHA, K)
    assert nominal_stress(material, stretch, *TESTS[test]) == pytest.approx(exact, rel=1e-12)


def test_one_term_of_exponent_two_is_the_incompressible_neo_hookean_material():
    material = Ogden([2.0], [2.0], K)
    F = torch.diag(torch.tensor([2.0, 0.5, 1.0]))
    # mu/2 (I1 - 3)
    assert material.energy_density(matrix(F)).item() == pytest.approx(4 + 0.25 + 1 - 3, rel=1e-14)


@pytest.mark.parametrize("gap", [0.0, 1e-12, 1e-9, 1e-6, 1e-3])
def test_the_tangent_hardly_changes_as_stretches_come_together(gap):
    material = ogden(1.0, 0.3)
    density = traced_energy_density(material)
    values, U, V = density.coefficients(material), rotations(), rotations()

    def tangent(gap):
        F = (U * torch.tensor([1.3, 1.3 + gap, 0.8])) @ V
        return density.hessian([v[None] for v in values], [x[None] for x in F.flatten()], point_axes=1)

    # Third derivatives are of order ten.
    assert torch.allclose(tangent(gap), tangent(0.0), rtol=0, atol=30 * gap + 1e-13)


def test_every_term_is_trained_and_supplied_by_its_name():
    mesh = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1))
    material = Ogden((2e4, -3e3), (2.0, -2.0), 1e5)
    step = SymplecticEuler(mesh, {"elastic": ElasticForce(mesh, material)}, density=1000.0, dt=1e-4)
    rollout = RolloutModule(step, 3)
    name = "forces.elastic.material.terms.1.alpha"
    start = State.at_rest(mesh.vertices * torch.tensor([1.3, 1.0, 0.9]))
    final = rollout(start, {name: torch.tensor([-3.0])}).positions
    material.terms[1].alpha = -3.0
    assert torch.allclose(rollout(start).positions, final, rtol=0, atol=1e-15)
    report = check_gradients(rollout, start, lambda s: s.velocities.square().sum(), [name, "terms.0.mu"])
    assert report.passed, report


def test_a_body_with_a_value_per_cell_has_those_of_every_term():
    mesh = box_mesh(cells=(1, 1, 1))
    count = len(mesh.cells)
    force = ElasticForce(mesh, Ogden([torch.full((count,), 2e4), 1e3], [2.0, 4.0], 1e5))
    assert force.material.terms[0].extents["cells"] == count
    with pytest.raises(ValueError, match="mu has shape"):
        ElasticForce(mesh, Ogden([torch.full((count + 1,), 2e4)], [2.0], 1e5))


def test_terms_that_cannot_be_are_refused_by_name():
    with pytest.raises(ValueError, match=r"alpha must be 0\.0001 or larger in size, got 0"):
        Ogden((1e5, 1e4), (2.0, 0.0), 1e6)
    with pytest.raises(ValueError, match="a value for each term, got 2 of mu, 1 of alpha"):
        Ogden((1e5, 1e4), (2.0,), 1e6)


@pytest.mark.parametrize("volumetric", ["quadratic", "logarithmic", "simo_taylor"])
def test_the_energy_of_principal_stretches_is_that_of_the_deformation_gradient(volumetric):
    material = Ogden(MU, ALPHA, K, volumetric=volumetric)
    stretches = torch.tensor([[1.3, 0.7, 1.1], [0.6, 0.6, 2.9], [1.0, 1.0, 1.0], [1.9, 1.9, 1.2]])
    F = rotations(4) * stretches[:, None] @ rotations(4)
    torch.testing.assert_close(
        material.energy_of_stretches(stretches.unbind(1)), material.energy_density(matrix(F))
    )
