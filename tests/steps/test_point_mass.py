"""Masses that hang on a body: inertia and weight, learnable, in any batch."""

import copy
import math

import pytest
import torch
from support.scenes import beam, free_box, moving, noise, rest, same

from simlayer import MassDamping, PointMass, RolloutModule, State, box_mesh

pytestmark = pytest.mark.usefixtures("float64")

MASS_NAME = "masses.weight.log_mass"


def tip(mass=0.3, vertices="x_max"):
    return PointMass(box_mesh(cells=(3, 1, 1), size=(0.3, 0.1, 0.1)), vertices, mass=mass)


def test_a_mass_is_shared_equally_by_its_vertices():
    step = beam(masses={"weight": tip(0.3), "other": tip(0.5, vertices=torch.tensor([2]))})
    added = step.vertex_masses - beam().vertex_masses
    expected = torch.zeros(16)
    expected[-4:] = 0.3 / 4
    expected[2] += 0.5
    assert torch.allclose(added, expected, rtol=1e-12, atol=1e-15)
    assert torch.allclose(step.inverse_masses * step.vertex_masses, torch.ones(16), rtol=1e-15)


def test_a_mass_makes_a_body_slower_under_a_force_and_not_under_gravity():
    # Without elasticity, v = h (g + f/m) after one step.
    step = beam(masses={"weight": tip(0.3)}, fixed=None, dissipation={}, substeps=1)
    del step.forces["elastic"]
    end = step(State.at_rest(rest()))
    expected = step.gravity + step.forces["load"].forces / step.vertex_masses[:, None]
    assert torch.allclose(end.velocities, step.dt * expected, rtol=1e-13)


def test_a_hanging_mass_stretches_a_body_by_its_weight():
    # Heavily damped to rest: the elastic force on the tip balances the weight that hangs there.
    mesh = box_mesh(cells=(3, 1, 1), size=(0.3, 0.1, 0.1))
    step = beam(
        masses={"weight": tip(0.3)},
        gravity=(9.81, 0.0, 0.0),
        dissipation={"damping": MassDamping(60.0)},
        prescribed_velocities=None,
    )
    step.forces["load"].forces = torch.zeros(1, 3)
    end = RolloutModule(step, 600)(State.at_rest(mesh.vertices))
    pull = step.forces["elastic"](end)
    weights = 9.81 * step.vertex_masses
    assert torch.allclose(-pull[4:, 0], weights[4:], rtol=1e-6)
    assert float(pull[:4, 0].sum()) == pytest.approx(float(weights[4:].sum()), rel=1e-6)


def test_the_gradient_in_a_mass_equals_a_central_difference_supplied_and_owned():
    step = beam(masses={"weight": tip(0.3)})
    rollout, weights = RolloutModule(step, 10), noise(16, 3)

    def loss(log_mass):
        return (rollout(moving(), {MASS_NAME: log_mass}).positions * weights).sum()

    value, h = torch.tensor(math.log(0.3)).requires_grad_(), 1e-4
    (gradient,) = torch.autograd.grad(loss(value), value)
    expected = float((loss(value + h) - loss(value - h)).detach()) / (2 * h)
    assert float(gradient) == pytest.approx(expected, rel=1e-6)
    (own,) = rollout.train_only(MASS_NAME)
    (again,) = torch.autograd.grad((rollout(moving()).positions * weights).sum(), own)
    assert torch.allclose(again, gradient, rtol=1e-14)


def test_masses_of_a_batch_are_those_of_its_samples():
    rollout = RolloutModule(beam(masses={"weight": tip()}), 5)
    masses, densities = noise(3, 1), 7 + 0.1 * noise(3, 18)
    together = rollout(moving(), {MASS_NAME: masses, "log_density": densities})
    for k in range(3):
        alone = rollout(moving(), {MASS_NAME: masses[k], "log_density": densities[k]})
        assert torch.allclose(together.positions[k], alone.positions, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", [MASS_NAME, "log_density", "gravity"])
def test_a_control_meets_masses_that_are_supplied(name):
    # Vertex masses are derived from several modules, of which a control changes one.
    step = beam(masses={"weight": tip(), "other": tip()})
    values = {MASS_NAME: torch.tensor(0.5), "log_density": torch.tensor(7.0), "gravity": noise(3)}
    values |= {"masses.other.log_mass": torch.tensor(-1.0)}
    constant = RolloutModule(step, 4)(moving(), values)
    value = values.pop(name)
    assert same(RolloutModule(step, 4)(moving(), values, {name: value.expand(4, *value.shape)}), constant)


def test_a_growing_mass_as_a_control_acts_at_its_time():
    rollout = RolloutModule(beam(masses={"weight": tip()}), 3)
    single, state = RolloutModule(rollout.step, 1), moving()
    controls = torch.tensor([-2.0, -1.0, 1.0])
    for value in controls:
        state = single(state, {MASS_NAME: value})
    assert same(rollout(moving(), controls={MASS_NAME: controls}), state)


def test_a_step_with_masses_is_copied_and_saved_with_them():
    step = beam(masses={"weight": tip()})
    other = beam(masses={"weight": tip(7.0)})
    assert MASS_NAME in step.state_dict()
    other.load_state_dict(step.state_dict())
    assert same(step(moving()), other(moving()))
    assert same(step(moving()), copy.deepcopy(step)(moving()))


def test_an_added_mass_does_not_lengthen_the_stable_step():
    assert torch.equal(beam(masses={"weight": tip(100.0)}).stable_dts(), beam().stable_dts())


@pytest.mark.parametrize(
    ("vertices", "message"),
    [
        ("tip", "no vertex set 'tip'; it has"),
        (torch.tensor([99]), "vertices holds vertex 99, but the mesh has vertices 0 to 15"),
        (torch.zeros(16, dtype=torch.bool), "vertices selects none of the 16 vertices"),
        (torch.zeros(16), r"vertices must be the name of a vertex set, .*got .*\(16,\)"),
    ],
)
def test_a_mass_on_no_vertex_is_refused(vertices, message):
    with pytest.raises(ValueError, match=message):
        tip(vertices=vertices)


@pytest.mark.parametrize("mass", [0.0, -1.0])
def test_a_mass_that_is_not_positive_is_refused(mass):
    with pytest.raises(ValueError, match="mass must be positive"):
        tip(mass)


def test_a_free_body_with_a_mass_keeps_its_momentum():
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    step = free_box(masses={"weight": PointMass(mesh, "x_max", mass=2.0)})
    start = moving((2, 1, 1))
    end = RolloutModule(step, 20)(start)
    momenta = [(step.vertex_masses[:, None] * state.velocities).sum(0) for state in (start, end)]
    assert torch.allclose(*momenta, rtol=1e-11, atol=1e-13)
