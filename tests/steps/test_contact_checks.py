"""Implicit steps that lead through obstacles: told, with a dt that resolves them."""

import pytest
import torch
from support.contacts import dropped, falling

from simlayer import (
    BDF2,
    BackwardEuler,
    BarrierContact,
    Box,
    ElasticForce,
    Newmark,
    PenetrationError,
    RolloutModule,
    Sphere,
    StableNeoHookean,
    State,
    box_mesh,
    obstacle_controls,
)

pytestmark = pytest.mark.usefixtures("float64")


def above_a_corner(kind, dt):
    """A cube 0.1 m above a box that stands on its corner, and its place at rest."""
    mesh = box_mesh(cells=(2, 2, 2), size=(0.1,) * 3, origin=(-0.05, -0.05, 0.1), element="hex8")
    corner = Box((0.1,) * 3, (0.0, 0.0, -0.05), rotation=(0.7854, 0.6155, 0.0))
    contact = BarrierContact(mesh, corner, stiffness=1e4, activation_distance=2e-3)
    elastic = ElasticForce(mesh, StableNeoHookean(1e5, 0.3))
    return kind(mesh, {"elastic": elastic, "contact": contact}, dt=dt), mesh.vertices


@pytest.mark.parametrize("kind", [BackwardEuler, Newmark, BDF2])
def test_a_step_as_long_as_an_obstacle_is_thick_is_an_error_whose_dt_resolves_it(kind):
    step, x = above_a_corner(kind, 5e-3)
    start = State(x, torch.tensor([0.0, 0.0, -50.0]).expand_as(x))
    with pytest.raises(PenetrationError, match="passes through an obstacle within one step") as error:
        RolloutModule(step, 2)(start)
    dt = error.value.suggested_dt
    assert 0 < dt < 5e-3
    again, _ = above_a_corner(kind, dt)
    RolloutModule(again, round(5e-3 / dt))(start)


@pytest.mark.filterwarnings("ignore:the obstacle is .* wide")
def test_a_sphere_that_controls_move_through_a_body_in_one_step_is_an_error():
    step = dropped("sphere", BackwardEuler, dt=1e-2, gravity=(0.0, 0.0, 0.0))
    x = falling().positions
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1), origin=(0.0, 0.0, 8e-3))
    ball = BarrierContact(mesh, Sphere(0.02, (0.0, 0.0, -0.1)), stiffness=1e4, activation_distance=2e-3)
    step = BackwardEuler(mesh, {"elastic": step.forces["elastic"], "contact": ball}, dt=1e-2)
    # It jumps over the corner at the origin, from below to above, the second time within the rollout.
    for heights in ([-0.1, 0.3], [-0.1, -0.1, 0.3]):
        path = torch.tensor([[0.0, 0.0, height] for height in heights])
        controls = obstacle_controls(path, step.dt, explicit=False)
        with pytest.raises(PenetrationError, match="as the obstacle or fixed vertices move") as error:
            RolloutModule(step, len(heights) - 1)(State.at_rest(x), controls=controls)
        assert error.value.step == len(heights) - 1
        assert 0 < error.value.suggested_dt < step.dt
