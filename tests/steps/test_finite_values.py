"""Nothing that is not finite passes an implicit step."""

import math
import re

import pytest
import torch

from simlayer import (
    BDF2,
    BackwardEuler,
    ConvergenceError,
    ElasticForce,
    Equilibrium,
    Newmark,
    NodalLoad,
    Potential,
    RolloutModule,
    StableNeoHookean,
    State,
    box_mesh,
)

pytestmark = pytest.mark.usefixtures("float64_throughout")

STEPS = [Equilibrium, BackwardEuler, Newmark, BDF2]
QUANTITIES = {
    "gravity": (3,),
    "vertex_gravity": (1, 3),
    "forces.load.forces": (1, 3),
    "density": (1,),
    "prescribed_velocities": (1, 3),
    "forces.elastic.material.youngs_modulus": (1,),
}


@pytest.fixture(scope="module")
def mesh(float64_throughout):
    return box_mesh(cells=(2, 1, 1), size=(0.06, 0.03, 0.03))


@pytest.fixture(scope="module")
def elastic(mesh):
    return ElasticForce(mesh, StableNeoHookean(2e4, 0.4))


def bar(mesh, elastic, kind, **forces):
    load = NodalLoad(mesh, torch.zeros_like(mesh.vertices))
    return kind(mesh, {"elastic": elastic, "load": load, **forces}, dt=0.01, fixed="x_min")


def error_of(step, mesh, num_steps=1, **given):
    # Without the checks at a rollout's edge: it is the step that must not let it pass.
    rollout = RolloutModule(step, num_steps, validate=False)
    with pytest.raises((ConvergenceError, ValueError)) as error:
        rollout(State.at_rest(mesh.vertices), **given)
    return error.value


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", QUANTITIES)
@pytest.mark.parametrize("kind", STEPS)
def test_the_quantity_and_the_sample_that_are_not_finite_are_named(mesh, elastic, kind, name, value):
    values = torch.full((3, *QUANTITIES[name]), 1.0)
    values[1, ..., -1] = value
    error = error_of(bar(mesh, elastic, kind), mesh, parameters={name: values})
    assert name in str(error)
    assert "sample (1,)" in str(error)
    assert error.sample == (1,)


@pytest.mark.parametrize("kind", STEPS)
def test_the_step_whose_controls_are_not_finite_is_named(mesh, elastic, kind):
    gravity = torch.zeros(3, 3)
    gravity[1, 2] = math.nan
    error = error_of(bar(mesh, elastic, kind), mesh, 3, controls={"gravity": gravity})
    assert str(error).startswith("in step 2")
    assert "gravity is nan" in str(error)


@pytest.mark.parametrize("kind", STEPS)
def test_a_state_that_is_not_finite_is_refused(mesh, elastic, kind):
    positions = mesh.vertices.expand(2, -1, -1).clone()
    positions[1, 4, 2] = math.nan
    step = bar(mesh, elastic, kind)
    state = State.at_rest(positions)
    with pytest.raises(ConvergenceError, match=r"position.* of a vertex is nan.* sample \(1,\)"):
        step(step.start(state))


class Broken(Potential):
    """Finite at rest, and of a gradient that is not finite once the body has moved."""

    def __init__(self, mesh):
        super().__init__()
        self.register_buffer("rest", mesh.vertices.clone(), persistent=False)

    def energy(self, positions):
        return (positions - self.rest).square().sum((-1, -2)).sqrt()


@pytest.mark.parametrize("kind", STEPS)
def test_a_force_that_is_not_finite_ends_in_an_error(mesh, elastic, kind):
    step = bar(mesh, elastic, kind, broken=Broken(mesh))
    assert re.search(r"forces\.broken \(Broken\) is not finite", str(error_of(step, mesh)))


class Own(Potential):
    """Springs with a parameter of their own, which may make the energy, or its gradient too, not finite."""

    def __init__(self, stiffness, offset):
        super().__init__()
        self.stiffness, self.offset = (torch.nn.Parameter(torch.tensor(x)) for x in (stiffness, offset))

    def energy(self, positions):
        return self.stiffness * positions.square().sum((-1, -2)) + self.offset


@pytest.mark.parametrize(("stiffness", "offset"), [(math.nan, 0.0), (1.0, math.nan), (1.0, math.inf)])
@pytest.mark.parametrize("kind", STEPS)
def test_a_force_that_its_own_parameter_makes_not_finite_is_named(mesh, elastic, kind, stiffness, offset):
    step = bar(mesh, elastic, kind, own=Own(stiffness, offset))
    error = str(error_of(step, mesh))
    assert re.search(r"forces\.own", error)
    assert "position or velocity of a vertex is" not in error


def test_a_gradient_that_is_not_finite_does_not_go_back_through_a_step(mesh, elastic):
    step = bar(mesh, elastic, BackwardEuler)
    rollout = RolloutModule(step, 1)
    rollout.train_only("gravity")
    end = rollout(State.at_rest(mesh.vertices))
    with pytest.raises(ConvergenceError, match=r"gradient that comes in .* is nan"):
        (end.positions.sum() * math.nan).backward()
