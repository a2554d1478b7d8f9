"""The neural material: what holds whatever its weights, and that it learns."""

import pytest
import torch
from jaxtyping import TypeCheckError
from support.materials import array, deformations, exponential, lame, matrix, neural

from simlayer import (
    BackwardEuler,
    ElasticForce,
    NeuralHyperelastic,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
    check_gradients,
    check_material,
    parameter_jacobian,
)
from simlayer.forces.elastic import traced_energy_density

pytestmark = pytest.mark.usefixtures("float64")

E, NU = 1e5, 0.4


def trained(seed, updates=5, **options):
    """A material after a few updates towards random energies: its weights are nothing special any more."""
    torch.manual_seed(seed)
    material = NeuralHyperelastic(E, NU, **options)
    weights = list(material.network.parameters())
    optimizer = torch.optim.Adam(weights, lr=0.5)
    for _ in range(updates):
        optimizer.zero_grad()
        psi = material.energy_density(matrix(deformations(10, stretches=(0.5, 2.0))))
        (psi / E * torch.randn(10)).sum().backward()
        optimizer.step()
    return material


def rest_tangent(material):
    density = traced_energy_density(material)
    with torch.no_grad():
        rest = matrix(torch.eye(3)[None])
        return density.hessian(density.coefficients(material), rest, point_axes=1)[0].reshape(3, 3, 3, 3)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("updates", [0, 5])
def test_whatever_it_learned_it_is_polyconvex_and_has_no_stress_at_rest(seed, updates):
    report = check_material(trained(seed, updates), stretches=(0.3, 3.0))
    assert report.passed, report
    assert report["isotropy"].passed


@pytest.mark.parametrize("nu", [-0.5, 0.0, 0.3, 0.49])
@pytest.mark.parametrize("hidden", [(8, 8), (4,)])
def test_whatever_it_learned_its_small_strain_moduli_are_the_given_ones(nu, hidden):
    material = trained(1, hidden=hidden)
    material.poissons_ratio = nu
    mu, lam = lame(E, nu)
    d = torch.eye(3)
    expected = lam * torch.einsum("ij,kl->ijkl", d, d)
    expected += mu * (torch.einsum("ik,jl->ijkl", d, d) + torch.einsum("il,jk->ijkl", d, d))
    tangent = rest_tangent(material)
    # nu = 0.49 magnifies the rounding of nu itself by 1 / (1 - 2 nu) = 50.
    assert torch.allclose(tangent, expected, rtol=0, atol=1e-10 * (2 * mu + abs(lam)))


@pytest.mark.parametrize("seed", range(3))
def test_what_the_network_leaves_of_the_moduli_is_positive(seed):
    material = trained(seed)
    moduli = [material.network_modulus, material.half_shear, material.half_bulk]
    assert all(float(modulus.detach()) > 0 for modulus in moduli)
    assert float(material.half_shear.detach()) < 0.5 * float(material.mu)


def test_without_a_range_no_finite_energy_flattens_a_cell():
    material = trained(0, range=None)
    t = torch.tensor([1e-2, 1e-4, 1e-6])
    psi = material.energy_density(matrix(torch.diag_embed(torch.stack([t, 1 + 0 * t, 1 + 0 * t], -1))))
    # The energy (J + 1/J - 2)² is a hundred hundred times as large, and then all there is.
    assert torch.allclose(psi[1:] / psi[:-1], torch.tensor(1e4), rtol=0.05)


def test_the_stable_time_step_is_that_of_the_moduli():
    mesh = box_mesh(cells=(2, 1, 1))
    rest = State.at_rest(mesh.vertices)
    neural_step, step = (
        SymplecticEuler(mesh, {"elastic": ElasticForce(mesh, m)}, dt=1e-4)
        for m in (trained(0), StableNeoHookean(E, NU))
    )
    assert float(neural_step.stable_dt(rest)) == pytest.approx(float(step.stable_dt(rest)), rel=1e-12)


# In a rollout.

WEIGHTS = ["network.free_weight", "network.biases.0", "network.biases.1", "network.log_weights.1"]


def beam(kind=SymplecticEuler, **options):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    material = neural(E, NU, hidden=(3, 2))
    step = kind(mesh, {"elastic": ElasticForce(mesh, material)}, dt=5e-4, fixed=mesh.vertices[:, 0] < 1e-9)
    start = State(mesh.vertices, 20 * mesh.vertices * torch.tensor([1.0, 0.5, -1.0]))
    return RolloutModule(step, 6, **options), start


def spread(end):
    return end.positions.square().sum() * 1e3


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (SymplecticEuler, {"compile": False, "checkpoint": "none"}),
        (SymplecticEuler, {"compile": False, "checkpoint": 2}),
        (SymplecticEuler, {"compile": "eager", "checkpoint": 2}),
        (BackwardEuler, {"compile": False}),
    ],
    ids=str,
)
def test_gradients_of_weights_and_moduli_are_central_differences(kind, options):
    rollout, start = beam(kind, **options)
    names = [*WEIGHTS, "youngs_modulus", "poissons_ratio"]
    report = check_gradients(rollout, start, spread, names)
    assert report.passed, report


@pytest.mark.parametrize("kind", [SymplecticEuler, BackwardEuler])
def test_forward_mode_gives_the_gradient_of_reverse_mode(kind):
    rollout, start = beam(kind, compile=False)
    parameters = dict(zip(WEIGHTS, rollout.train_only(WEIGHTS), strict=True))
    _, slopes = parameter_jacobian(lambda: spread(rollout(start)), parameters)
    spread(rollout(start)).backward()
    for name, parameter in parameters.items():
        scale = float(parameter.grad.abs().max())
        # Implicit steps solve to 1e-8 of their residual.
        assert torch.allclose(
            slopes[name].reshape(parameter.shape), parameter.grad, atol=1e-6 * scale, rtol=0
        )


@pytest.mark.long
@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # of torch itself
def test_compiled_gradients_of_weights_equal_eager_ones():
    gradients = []
    for compile in (False, True):
        rollout, start = beam(compile=compile)
        parameters = rollout.train_only(WEIGHTS)
        spread(rollout(start)).backward()
        gradients.append([parameter.grad for parameter in parameters])
    for eager, compiled in zip(*gradients, strict=True):
        torch.testing.assert_close(compiled, eager, rtol=1e-9, atol=1e-12)


def test_weights_may_be_supplied_for_one_call():
    rollout, start = beam(compile=False)
    network = rollout.step.forces["elastic"].material.network
    other = torch.randn_like(network.biases[0]).requires_grad_()
    supplied = rollout(start, {"network.biases.0": other}).positions
    supplied.sum().backward()
    assert float(other.grad.abs().sum()) > 0
    with torch.no_grad():
        network.biases[0].copy_(other)
    # What derives from the weights at rest follows those of the call.
    assert torch.equal(rollout(start).positions, supplied)


def test_weights_may_change_from_step_to_step():
    rollout, start = beam(compile=False)
    bias = torch.randn(3).requires_grad_()
    constant = rollout(start, {"network.biases.0": bias}).positions
    # All that derives from the weights changes with them, at every step.
    controlled = rollout(start, controls={"network.biases.0": bias.expand(6, 3)}).positions
    torch.testing.assert_close(controlled, constant, rtol=1e-14, atol=0)
    slopes = [torch.autograd.grad(end.square().sum(), bias)[0] for end in (constant, controlled)]
    torch.testing.assert_close(*slopes, rtol=1e-10, atol=0)


@pytest.mark.parametrize("hidden", [(), 8, (0,), ("8",)])
def test_hidden_layers_that_are_none_are_refused_by_name(hidden):
    with pytest.raises((TypeError, ValueError, TypeCheckError), match="hidden"):
        NeuralHyperelastic(E, NU, hidden=hidden)


# Learning.


def test_training_recovers_the_stresses_of_another_law_in_tension_and_compression():
    truth = exponential(E, NU)
    target = traced_energy_density(truth)
    stretches = torch.linspace(0.7, 1.5, 17)
    lateral = stretches**-NU
    F = matrix(torch.diag_embed(torch.stack([stretches, lateral, lateral], -1)))
    with torch.no_grad():
        wanted = array(target.gradient(target.coefficients(truth), F)) / E
    material = neural(E, NU)
    density = traced_energy_density(material)
    optimizer = torch.optim.LBFGS(material.network.parameters(), max_iter=150, line_search_fn="strong_wolfe")

    def residual():
        return array(density.gradient(density.coefficients(material), F)) / E - wanted

    def loss():
        optimizer.zero_grad()
        value = residual().square().mean() * 1e4
        value.backward()
        return value

    first = float(residual().abs().max().detach())
    optimizer.step(loss)
    last = float(residual().abs().max().detach())
    assert first > 0.05 * float(wanted.abs().max())
    assert last < 0.01 * float(wanted.abs().max())
