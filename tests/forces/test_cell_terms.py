"""Terms over the same cells, whose tangents are added before the stiffness follows from them."""

import copy

import pytest
import torch

from simlayer import BackwardEuler, ElasticForce, KelvinVoigt, StableNeoHookean, State, box_mesh
from simlayer.forces.cell_terms import CellTerm, by_elements

pytestmark = pytest.mark.usefixtures("float64_throughout")


@pytest.fixture
def mesh():
    return box_mesh(cells=(2, 2, 2), size=(0.2, 0.2, 0.2), element="hex20")


def moved(mesh):
    torch.manual_seed(0)
    return mesh.vertices + 2e-3 * torch.randn(2, *mesh.vertices.shape)


def step(mesh, viscous_mesh=None, *, viscous="reduced"):
    forces = {
        "elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.4), quadrature="reduced"),
        "viscosity": KelvinVoigt(viscous_mesh or mesh, shear_viscosity=100.0, quadrature=viscous),
    }
    return BackwardEuler(mesh, forces, dt=1e-2, fixed="x_min")


def terms_of(step):
    x = moved(step.elements.mesh)
    return [term for term in step.terms(x, x, x) if isinstance(term, CellTerm)]


def test_terms_over_equal_elements_are_in_one_list(mesh):
    assert [len(group) for group in by_elements(terms_of(step(mesh)))] == [2]
    assert [len(group) for group in by_elements(terms_of(copy.deepcopy(step(mesh))))] == [2]


def test_terms_over_another_rule_or_mesh_are_in_lists_of_their_own(mesh):
    for other in (step(mesh, viscous="full"), step(mesh, copy.deepcopy(mesh))):
        assert [len(group) for group in by_elements(terms_of(other))] == [1, 1]


@pytest.mark.parametrize("projected", [False, True])
def test_the_tangent_of_a_step_is_that_of_its_terms_by_themselves(mesh, projected):
    x = moved(mesh)
    tangents = []
    for viscous in (mesh, copy.deepcopy(mesh)):
        body = step(mesh, viscous)
        data = body._data(State(x, torch.zeros_like(x)))
        tangents.append(body.problem(data).tangent(1.01 * x, projected=projected).matrix.values)
    # Sums of the same numbers in another order.
    torch.testing.assert_close(*tangents, rtol=0, atol=1e-12 * float(tangents[0].abs().max()))


def test_a_term_agrees_with_the_derivatives_of_its_energy(mesh):
    x = moved(mesh)
    for term in terms_of(step(mesh)):
        vectors = (1.02 * x).requires_grad_()
        energy, gradient = term.energy_and_gradient(vectors)
        torch.testing.assert_close(energy, term.energy(vectors))
        torch.testing.assert_close(gradient, term.gradient(vectors))
        (slope,) = torch.autograd.grad(energy.sum(), vectors)
        scale = float(gradient.detach().abs().max())
        torch.testing.assert_close(gradient, slope, rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("kind", [ElasticForce, KelvinVoigt])
def test_a_subclass_with_an_energy_of_its_own_is_a_term_by_that(mesh, kind):
    class Doubled(kind):
        def energy(self, *arguments):
            return 2 * super().energy(*arguments)

    options = {"material": StableNeoHookean(1e5, 0.4)} if kind is ElasticForce else {"shear_viscosity": 1.0}
    x = moved(mesh)
    own, plain = (force(mesh, **options).term(x, x) for force in (Doubled, kind))
    assert not isinstance(own, CellTerm)
    torch.testing.assert_close(own.energy(1.01 * x), 2 * plain.energy(1.01 * x))


def test_a_subclass_that_bounds_its_moves_keeps_its_bound(mesh):
    class Bounded(ElasticForce):
        def feasible_fraction(self, vectors, direction):
            return torch.full(vectors.shape[:-2], 0.5)

    x = moved(mesh)
    term = Bounded(mesh, StableNeoHookean(1e5, 0.4)).term(x, x)
    assert torch.equal(term.feasible_fraction(x, x), torch.full((2,), 0.5))
