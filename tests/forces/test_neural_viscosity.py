"""The learned viscosity: dissipative whatever its weights, as given at small rates, and it learns."""

import pytest
import torch
from support.materials import array, matrix, rotations
from support.rates import body, size

from simlayer import (
    BackwardEuler,
    ElasticForce,
    KelvinVoigt,
    NeuralViscosity,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
    check_gradients,
    parameter_jacobian,
)

pytestmark = pytest.mark.usefixtures("float64")

ETA, ZETA, RATE = 3.0, 1.5, 2.0


def made(seed=0, mesh=None, spread=1.5, **options):
    """A viscosity with weights far from the first ones."""
    torch.manual_seed(seed)
    given = {"shear_viscosity": ETA, "bulk_viscosity": ZETA, "characteristic_rate": RATE}
    viscosity = NeuralViscosity(body() if mesh is None else mesh, **{**given, **options})
    with torch.no_grad():
        for weight in viscosity.network.parameters():
            weight += spread * torch.randn_like(weight)
    return viscosity


def density_and_stress(viscosity, F, dF):
    dF = dF.clone().requires_grad_()
    density = viscosity.dissipation_density(matrix(F), matrix(dF))
    return density.detach(), torch.autograd.grad(density.sum(), dF)[0]


any_weights = pytest.mark.parametrize("seed", range(10))


@any_weights
def test_whatever_its_weights_it_takes_out_at_least_the_potential(seed):
    """At rates from a thousandth of the characteristic one to a thousand times that."""
    scale = 10 ** torch.linspace(-3, 3, 400)[:, None, None]
    F, dF = torch.randn(400, 3, 3), scale * torch.randn(400, 3, 3)
    density, stress = density_and_stress(made(seed), F, dF)
    power = (stress * dF).sum((-1, -2))
    assert (density > 0).all()
    assert (power >= density * (1 - 1e-9)).all()


@any_weights
def test_whatever_its_weights_no_chord_of_the_potential_is_below_it(seed):
    viscosity, F, t = made(seed), matrix(torch.randn(300, 3, 3)), torch.rand(300)
    a, b = 5 * torch.randn(2, 300, 3, 3)

    def potential(rate):
        return viscosity.dissipation_density(F, matrix(rate)).detach()

    between = potential((1 - t)[:, None, None] * a + t[:, None, None] * b)
    chord = (1 - t) * potential(a) + t * potential(b)
    assert (chord - between > -1e-12 * chord).all()


@any_weights
def test_without_a_rate_there_is_neither_potential_nor_stress(seed):
    F = torch.randn(5, 3, 3)
    turning = (lambda W: W - W.mT)(torch.randn(5, 3, 3)) @ F
    for rate in (torch.zeros(5, 3, 3), turning):
        density, stress = density_and_stress(made(seed), F, rate)
        assert size(density) < 1e-12
        assert size(stress) < 1e-12


@any_weights
def test_whatever_its_weights_it_is_that_of_kelvin_and_voigt_at_small_rates(seed):
    """The next term of the expansion is smaller by the square of the rate, and by what weights make of it."""
    F, dF = torch.randn(50, 3, 3), 1e-7 * torch.randn(50, 3, 3)
    exact = KelvinVoigt(body(), shear_viscosity=ETA, bulk_viscosity=ZETA)
    _, expected = density_and_stress(exact, F, dF)
    _, stress = density_and_stress(made(seed), F, dF)
    assert torch.allclose(stress, expected, rtol=0, atol=1e-9 * size(expected))
    start = State.at_rest(body().vertices)
    assert torch.equal(made(seed).damping_bound(None), exact.damping_bound(None))
    bounds = made(seed).damping_bound(start).detach(), exact.damping_bound(start)
    assert torch.allclose(*bounds, rtol=1e-10)


def test_it_is_objective_and_isotropic():
    viscosity = made()
    F, dF, Q = torch.randn(50, 3, 3), torch.randn(50, 3, 3), rotations(50)
    spin = (lambda W: W - W.mT)(torch.randn(50, 3, 3))
    expected = viscosity.dissipation_density(matrix(F), matrix(dF))
    turning = viscosity.dissipation_density(matrix(Q @ F), matrix(Q @ dF + spin @ Q @ F))
    turned = viscosity.dissipation_density(matrix(F @ Q), matrix(dF @ Q))
    assert torch.allclose(turning, expected, rtol=1e-10)
    assert torch.allclose(turned, expected, rtol=1e-10)


def test_no_bulk_viscosity_is_next_to_none():
    F, dF = torch.eye(3).expand(5, 3, 3), torch.randn(5, 1, 1) * torch.eye(3)
    with_bulk = made(bulk_viscosity=1.0)
    without = made(bulk_viscosity=None)
    assert float(without.bulk_viscosity) == pytest.approx(1e-6 * ETA)
    change = density_and_stress(with_bulk, F, dF)[0] - density_and_stress(without, F, dF)[0]
    assert (change > 0).all()


# In a rollout.

WEIGHTS = ["network.biases.0", "network.biases.1", "network.log_weights.0", "network.log_weights.1"]


def beam(kind=SymplecticEuler, **options):
    """A beam in motion, at strain rates about the characteristic one."""
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    forces = {
        "elastic": ElasticForce(mesh, StableNeoHookean(1e4, 0.3)),
        "viscosity": made(3, mesh, 0.3, hidden=(3, 2), shear_viscosity=10.0, characteristic_rate=5.0),
    }
    step = kind(mesh, forces, dt=5e-4, fixed="x_min")
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
def test_gradients_of_weights_and_viscosities_are_central_differences(kind, options):
    rollout, start = beam(kind, **options)
    names = [*WEIGHTS, "shear_viscosity", "bulk_viscosity", "characteristic_rate"]
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


def test_implicit_steps_converge_to_explicit_ones():
    ends = []
    for kind, steps in ((SymplecticEuler, 1600), (BackwardEuler, 20), (BackwardEuler, 40)):
        rollout, start = beam(kind, compile=False)
        rollout.step.dt, rollout.num_steps = 8e-3 / steps, steps
        with torch.no_grad():
            ends.append(rollout(start).positions)
    coarse, fine = (float((end - ends[0]).norm()) for end in ends[1:])
    assert coarse / fine == pytest.approx(2, abs=0.3)


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
    network = rollout.step.forces["viscosity"].network
    other = torch.randn_like(network.biases[0]).requires_grad_()
    supplied = rollout(start, {"network.biases.0": other}).positions
    supplied.sum().backward()
    assert float(other.grad.abs().sum()) > 0
    with torch.no_grad():
        network.biases[0].copy_(other)
    # What derives from the weights follows those of the call.
    assert torch.equal(rollout(start).positions, supplied)


# Learning.


@pytest.mark.parametrize("power", [-0.3, 0.3])
def test_training_recovers_a_viscosity_that_falls_or_rises_with_the_rate(power):
    """That of Carreau, eta (1 + (rate/r)²)^p: in shear, at rates from a tenth to ten times r."""
    rates = RATE * 10 ** torch.linspace(-1, 1, 21)
    dF = torch.zeros(21, 3, 3)
    dF[:, 0, 1] = rates
    F = torch.eye(3).expand(21, 3, 3)
    wanted = ETA * (1 + (rates / RATE) ** 2) ** power * rates
    viscosity = made(spread=0.0)
    traced = viscosity.traced_density
    optimizer = torch.optim.LBFGS(viscosity.network.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def ratios():
        coefficients = [*traced.coefficients(viscosity), *matrix(F)]
        return array(traced.gradient(coefficients, matrix(dF)))[:, 0, 1] / wanted

    def loss():
        optimizer.zero_grad()
        value = (ratios() - 1).square().mean()
        value.backward()
        return value

    first = size(ratios().detach() - 1)
    optimizer.step(loss)
    assert first > 0.3
    # What is left oscillates about the bend of the curve.
    assert size(ratios().detach() - 1) < 0.05


@pytest.mark.parametrize("hidden", [(), (0,)])
def test_hidden_layers_that_are_none_are_refused_by_name(hidden):
    with pytest.raises((TypeError, ValueError), match="hidden"):
        made(hidden=hidden)
