"""Bodies with damping forces in explicit rollouts: stability, decay, damping ratios, gradients."""

import itertools
import math

import pytest
import torch
from support.scenes import E_NAME, beam, free_box, moving, noise, rest, same

from simlayer import KelvinVoigt, LinearElastic, RayleighDamping, RolloutModule, State, box_mesh
from simlayer.forces.base import RatePotential

pytestmark = pytest.mark.usefixtures("float64")

VISCOSITY, BULK = "forces.viscosity.log_shear_viscosity", "forces.viscosity.log_bulk_viscosity"
BETA = "forces.rayleigh.log_coefficient"


def viscosity(shear=20.0, bulk=10.0, cells=(3, 1, 1)):
    mesh = box_mesh(cells=cells, size=tuple(0.1 * n for n in cells))
    return KelvinVoigt(mesh, shear_viscosity=shear, bulk_viscosity=bulk)


def rayleigh(coefficient=5e-4):
    return RayleighDamping("elastic", coefficient=coefficient)


DAMPINGS = {"viscosity": lambda: viscosity(), "rayleigh": lambda: rayleigh()}
every_damping = pytest.mark.parametrize("name", DAMPINGS)


# Stability


@pytest.mark.parametrize("name", DAMPINGS)
def test_a_stiffly_damped_rollout_is_stable_up_to_its_stable_step_and_not_far_beyond(name):
    stiff = {"viscosity": viscosity(1000.0, 500.0), "rayleigh": rayleigh(1e-2)}[name]
    step = beam(forces={name: stiff}, substeps=1, dissipation={}, prescribed_velocities=None, dt=1.0)
    step.forces["load"].forces = torch.zeros(1, 3)
    start = moving(amount=1e-5)
    undamped = beam(substeps=1).stable_dts()
    stable = step.stable_dt(start)
    assert stable < undamped / 3, "damping does not shorten the step, so the test shows nothing"
    # The bound is by elements: the assembled body is stable up to two times as much.
    for factor, is_stable in ((0.95, True), (2.5, False)):
        step.dt = factor * stable
        end = RolloutModule(step, 200, validate=False)(start)
        speeds = end.velocities.abs().max()
        assert (bool(speeds.isfinite()) and float(speeds) < 1.0) == is_stable


def test_the_stable_step_of_a_damped_oscillator_is_the_closed_form():
    step = free_box(forces={"rayleigh": rayleigh(2e-3)})
    stiffness = step.forces["elastic"].stiffness_bound(None)
    masses = 1000.0 * step.elements.volumes / 4
    w = (stiffness / masses).sqrt()
    xi = 2e-3 * w / 2
    expected = (2 / w * ((1 + xi.square()).sqrt() - xi)).amin()
    assert torch.allclose(step.stable_dts(), expected, rtol=1e-12)


def test_viscosity_alone_limits_the_step():
    step = free_box(forces={"viscosity": viscosity(cells=(2, 1, 1))})
    del step.forces["elastic"]
    masses = 1000.0 * step.elements.volumes / 4
    bound = step.forces["viscosity"].damping_bound(None)
    assert torch.allclose(step.stable_dts(), (2 * masses / bound).amin(), rtol=1e-12)
    assert free_box(dt="auto", forces={"viscosity": viscosity(cells=(2, 1, 1))}).dt < free_box(dt="auto").dt


def test_the_stable_step_of_a_batch_is_that_of_its_samples():
    values = torch.tensor([[1.0], [100.0]])
    together = beam(forces={"viscosity": viscosity(values, values)}).stable_dts()
    for k in range(2):
        alone = beam(forces={"viscosity": viscosity(values[k], values[k])}).stable_dts()
        assert torch.allclose(together[k], alone, rtol=1e-12)


# Physics


def free(name, dt, **options):
    """A free body that only this damps."""
    damping = {"viscosity": lambda: viscosity(20.0, 10.0, (2, 1, 1)), "rayleigh": rayleigh}[name]()
    return free_box(dt=dt, forces={name: damping}, **options)


@every_damping
def test_energy_decays_at_every_step_and_converges_in_first_order(name):
    duration, energies = 0.02, []
    for refinement in (1, 2, 4):
        step = free(name, duration / (150 * refinement))
        frames = RolloutModule(step, 150 * refinement).trajectory(moving((2, 1, 1), amount=1e-3))
        kinetic = 0.5 * (step.vertex_masses[:, None] * frames.velocities.square()).sum((-1, -2))
        energies.append(step.forces["elastic"].energy(frames.positions) + kinetic)
    finest = energies[-1]
    # What stays is the rigid motion.
    assert finest[-1] < 0.8 * finest[0]
    assert (finest.diff() < 0).all()
    coarse, fine = (b[-1] - a[-1] for a, b in itertools.pairwise(energies))
    assert math.log2(coarse / fine) == pytest.approx(1, abs=0.15)


@every_damping
def test_momentum_is_kept_to_rounding(name):
    # Rayleigh damping exerts a torque on a body that is under stress, viscosity does not.
    step, start = free(name, 1e-4), moving((2, 1, 1))
    end = RolloutModule(step, 50)(start)
    p, q = (step.vertex_masses[:, None] * state.velocities for state in (start, end))
    assert torch.allclose(p.sum(0), q.sum(0), rtol=0, atol=1e-12 * float(p.norm(dim=-1).sum()))
    if name == "viscosity":
        before, after = (torch.linalg.cross(s.positions, m).sum(0) for s, m in ((start, p), (end, q)))
        assert torch.allclose(before, after, rtol=0, atol=1e-12 * float(p.norm(dim=-1).sum()))


def spectrum(step):
    """Angular frequencies of small vibrations [1/s], and their modes."""
    x = rest((1, 1, 1))
    unit = torch.eye(x.numel()).view(-1, *x.shape)
    stiffness = step.forces["elastic"].hessian_product(x.expand_as(unit), unit).flatten(1)
    scale = step.inverse_masses.repeat_interleave(3).sqrt()
    squares, modes = torch.linalg.eigh(scale[:, None] * stiffness * scale)
    return squares.clamp(min=0).sqrt(), (scale[:, None] * modes).T


def measured_ratio(step, mode, frequency, xi):
    """The damping ratio of a small vibration, from the amplitudes at two times a whole period apart."""
    x, amplitude = rest((1, 1, 1)), 1e-7
    period = 2 * math.pi / (frequency * math.sqrt(1 - xi**2))
    steps = 1000
    step.dt = period / steps
    pattern = mode.view_as(x) / mode.abs().max()
    frames = RolloutModule(step, steps, validate=False)(State(x, amplitude * frequency * pattern))
    left = float((frames.velocities * pattern).sum() / (amplitude * frequency * pattern.square().sum()))
    decrement = -math.log(left)
    return decrement / math.hypot(2 * math.pi, decrement)


@pytest.mark.parametrize("index", [6, 12, -1])
def test_rayleigh_damping_has_the_ratio_beta_w_over_two(index):
    step = free_box((1, 1, 1), material=LinearElastic(1e5, 0.3), forces={"rayleigh": rayleigh()})
    frequencies, modes = spectrum(step)
    w = float(frequencies[index])
    xi = 5e-4 * w / 2
    assert 0.01 < xi < 0.5
    # The step adds -w dt/2 of xi², relative, and its start half a step of shift: 1/1000 of 2 pi.
    assert measured_ratio(step, modes[index], w, xi) == pytest.approx(xi, rel=1e-2)


@pytest.mark.parametrize("index", [6, 12, -1])
def test_viscosity_in_proportion_to_the_elastic_moduli_is_rayleigh_damping(index):
    # eta / mu = zeta / lam = beta: at the rest shape the same matrix, and the same ratio.
    mu, lam, beta = 1e5 / 2.6, 1e5 * 0.3 / (1.3 * 0.4), 5e-4
    viscous = viscosity(mu * beta, lam * beta, (1, 1, 1))
    step = free_box((1, 1, 1), material=LinearElastic(1e5, 0.3), forces={"viscosity": viscous})
    x, v = rest((1, 1, 1)), noise(8, 3)
    expected = -beta * step.forces["elastic"].hessian_product(x, v)
    assert torch.allclose(viscous(State(x, v)), expected, rtol=1e-10, atol=1e-10)
    frequencies, modes = spectrum(step)
    w = float(frequencies[index])
    assert measured_ratio(step, modes[index], w, beta * w / 2) == pytest.approx(beta * w / 2, rel=1e-2)


# Gradients


def damped_beam():
    vary = 1 + 0.3 * noise(18, seed=5).tanh()
    forces = {"viscosity": viscosity(20 * vary, 10 * vary), "rayleigh": rayleigh()}
    return beam(forces=forces, dt=2e-3)


def loss(end):
    x, v = (end.positions - rest()) / 0.01, end.velocities
    return (x * noise(16, 3, seed=11) + v * noise(16, 3, seed=12) + v.square() / 50).sum((-1, -2))


def gradients(step, *, owned=False, **options):
    start = State(*(x.clone().requires_grad_() for x in moving()[:2]))
    stored = dict(step.named_parameters())
    if owned:
        step.requires_grad_()
    leaves = stored if owned else {n: p.detach().clone().requires_grad_() for n, p in stored.items()}
    rollout = RolloutModule(step, 10, **({"checkpoint": "none", "compile": False} | options))
    end = rollout(start) if owned else rollout(start, leaves)
    slopes = torch.autograd.grad(loss(end), [*start[:2], *leaves.values()])
    step.requires_grad_(False)
    return dict(zip(["positions", "velocities", *leaves], slopes, strict=True))


@pytest.mark.parametrize("name", [VISCOSITY, BULK, BETA, E_NAME, "positions", "velocities"])
def test_a_gradient_equals_a_central_difference(name):
    step = damped_beam()
    rollout, start = RolloutModule(step, 10, checkpoint="none"), moving()
    values = {"positions": start.positions, "velocities": start.velocities} | dict(step.named_parameters())
    size = {"positions": 1e-2}.get(name, 1.0)
    direction = size * noise(*values[name].shape, seed=21).add(0.1)

    def at(h):
        inputs = {n: v.detach() + (h * direction if n == name else 0) for n, v in values.items()}
        state = State(inputs.pop("positions"), inputs.pop("velocities"))
        return float(loss(rollout(state, inputs)))

    h = 1e-3
    expected = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
    assert abs(expected) > 1e-4, "the loss does not depend on it, so the test shows nothing"
    assert float((gradients(step)[name] * direction).sum()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("checkpoint", ["sqrt", 3])
def test_checkpointing_changes_no_bit_of_the_gradients(checkpoint):
    step = damped_beam()
    plain, again = gradients(step), gradients(step, checkpoint=checkpoint)
    assert all(torch.equal(plain[name], again[name]) for name in plain)


def test_owned_and_supplied_values_have_the_same_gradients_bit_by_bit():
    step = damped_beam()
    plain, own = gradients(step), gradients(step, owned=True)
    assert all(torch.equal(plain[name], own[name]) for name in plain)


def test_a_batch_of_damping_coefficients_is_its_samples():
    rollout = RolloutModule(damped_beam(), 10)
    values = {VISCOSITY: 3 + noise(3, 18, seed=1).tanh(), BETA: -8 + noise(3, 1, seed=2).tanh()}
    together = rollout(moving(), values)
    for k in range(3):
        alone = rollout(moving(), {name: value[k] for name, value in values.items()})
        assert torch.allclose(together.positions[k], alone.positions, rtol=0, atol=1e-14)


def test_a_viscosity_as_a_control_acts_at_its_time():
    rollout = RolloutModule(damped_beam(), 3)
    controls, state = noise(3, 1, seed=4), moving()
    for value in controls:
        state = RolloutModule(rollout.step, 1)(state, {VISCOSITY: value})
    assert same(rollout(moving(), controls={VISCOSITY: controls}), state)


class Cubic(RatePotential):
    """A potential that a user writes, by its energy alone."""

    def energy(self, positions, velocities):
        return 0.1 * velocities.square().sum(-1).square().sum(-1)


def test_a_potential_by_its_energy_alone_damps_a_checkpointed_rollout():
    step = beam(forces={"cubic": Cubic()})
    plain, again = gradients(step), gradients(step, checkpoint=4)
    assert all(torch.equal(plain[name], again[name]) for name in plain)


def test_damping_is_described_with_its_units():
    text = repr(RolloutModule(damped_beam(), 1))
    assert "forces.viscosity.shear_viscosity = " in text
    assert "forces.rayleigh.coefficient = 0.0005 s" in text
