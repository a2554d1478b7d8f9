"""Contacts that a time step does not resolve: told, with a remedy, and never passed over."""

import pickle
import re

import pytest
import torch
from support.contacts import ACTIVATION, KAPPA_NAME, PLACE_NAME, block, dropped, falling, lone_vertices
from torch import Tensor

from simlayer import (
    BackwardEuler,
    BarrierContact,
    ContactWarning,
    HalfSpace,
    PenetrationError,
    RolloutModule,
    SimulationError,
    Sphere,
    State,
    SymplecticEuler,
    UnstableStepError,
    box_mesh,
    obstacle_controls,
)

pytestmark = pytest.mark.usefixtures("float64")


def thrown(speed: float, *, height: float = 3e-3) -> State:
    """The cube of `lone_vertices`, on its way down."""
    x = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1), origin=(0.0, 0.0, height)).vertices
    return State(x, torch.tensor([0.0, 0.0, -speed]).expand_as(x))


def caught(rollout: RolloutModule, *arguments, **options) -> PenetrationError:
    with pytest.raises(PenetrationError) as found:
        rollout(*arguments, **options)
    return found.value


LOW = (0, 2, 4, 6)


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("height", [0.0031, 0.0071, 0.0095])
def test_ten_activation_distances_a_step_into_a_floor_are_an_error(height, extended):
    step = lone_vertices(kappa=1e5, dt=1e-2, height=height, extended=extended)
    error = caught(RolloutModule(step, 4), thrown(1.0, height=height))
    assert error.step == 0
    assert error.vertices == LOW
    assert error.distance == pytest.approx(height)
    assert error.approach == pytest.approx(10)


@pytest.mark.filterwarnings("ignore:the obstacle is .* wide")
def test_a_body_that_would_fly_through_something_thin_is_an_error():
    mesh = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1), origin=(-0.1, -0.1, 0.3))
    contact = BarrierContact(mesh, Sphere(0.02), stiffness=1e5, activation_distance=1e-3)
    step = SymplecticEuler(mesh, {"contact": contact}, dt=0.1)
    # Its lower corner at the origin flies from 0.3 m above the ball to 0.2 m below it in one step.
    error = caught(RolloutModule(step, 2), State(mesh.vertices, torch.tensor([0.0, 0.0, -5.0]).expand(8, 3)))
    assert error.approach == pytest.approx(500)


def test_the_error_names_contact_step_sample_vertices_and_numbers():
    step = lone_vertices(kappa=1e5, dt=4e-4)
    start = thrown(1.0)
    start = State(
        start.positions.expand(3, 8, 3), start.velocities * torch.tensor([0.1, 1.0, 0.5])[:, None, None]
    )
    error = caught(RolloutModule(step, 20), start)
    assert (error.step, error.sample, error.vertices) == (4, (1,), LOW)
    assert error.distance == pytest.approx(1.4e-3)
    assert error.approach == pytest.approx(0.4)
    message = str(error)
    assert "contact 'contact': the body is too fast" in message
    assert "after step 4 (t = 0.0016 s); sample (1,), vertices [0, 2, 4, 6], distance 0.0014 m" in message
    assert "v dt/activation_distance = 0.4." in message
    assert message.endswith(f"Use dt <= {error.suggested_dt:.2g}."), "the stiffness in use would do"


@pytest.mark.parametrize("kappa", [1e2, 1e5])
def test_what_an_error_suggests_helps(kappa):
    error = caught(RolloutModule(lone_vertices(kappa=kappa, dt=4e-4), 20), thrown(1.0))
    assert error.suggested_dt < 4e-4
    assert error.suggested_stiffness >= kappa
    step = lone_vertices(kappa=error.suggested_stiffness, dt=error.suggested_dt)
    end = RolloutModule(step, round(8e-3 / step.dt), compile=False)(thrown(1.0))
    assert (end.velocities[list(LOW), 2] > 0.98).all(), "the lower vertices have bounced"


@pytest.mark.parametrize("extended", [False, True])
def test_a_contact_that_is_too_soft_is_an_error_and_not_a_passage(extended):
    step = lone_vertices(kappa=10.0, dt=1e-4, extended=extended)
    error = caught(RolloutModule(step, 60, compile=False), thrown(1.0))
    assert error.distance <= 0
    assert 0 < error.approach < 0.1, "it was slowed down"
    assert error.suggested_stiffness > 1e3
    assert "the body is inside an obstacle after step" in str(error)
    assert f"a stiffness >= {error.suggested_stiffness:.2g} Pa" in str(error)


def test_a_last_state_inside_is_an_error_too():
    step = lone_vertices(kappa=10.0, dt=1e-4)
    error = caught(RolloutModule(step, 60, compile=False), thrown(1.0))
    again = caught(RolloutModule(step, error.step, compile=False), thrown(1.0))
    assert again.step == error.step
    assert RolloutModule(step, error.step - 1)(thrown(1.0)).positions.isfinite().all()


def test_a_state_that_starts_inside_is_an_error():
    error = caught(RolloutModule(lone_vertices(kappa=1e4, dt=1e-5), 3), thrown(0.0, height=-1e-3))
    assert (error.step, error.distance) == (0, pytest.approx(-1e-3))
    assert "inside an obstacle at the start" in str(error)


def test_failures_are_found_compiled_checkpointed_and_in_substeps():
    kappa = {KAPPA_NAME: torch.tensor(11.5, requires_grad=True)}
    for options in ({"compile": "eager"}, {"checkpoint": "sqrt", "compile": False}):
        error = caught(RolloutModule(lone_vertices(kappa=1e5, dt=4e-4), 20, **options), thrown(1.0), kappa)
        assert (error.step, error.vertices) == (4, LOW)
    step = lone_vertices(kappa=1e5, dt=8e-4)
    step.substeps = 2
    error = caught(RolloutModule(step, 20), thrown(1.0))
    assert (error.step, error.approach) == (2, pytest.approx(0.4))
    assert "v dt/activation_distance = 0.4 in 2 substeps" in str(error)


@pytest.mark.parametrize("options", [{"compile": False}, {"checkpoint": 3, "compile": False}])
def test_a_rough_contact_is_warned_of_where_there_are_gradients(options):
    rollout = RolloutModule(lone_vertices(kappa=3e4, dt=2e-4), 30, **options)
    kappa = {KAPPA_NAME: torch.tensor(10.0, requires_grad=True)}
    with pytest.warns(ContactWarning, match=r"by 0.2 activation distances .* Use dt <= 9e-05"):
        rollout(thrown(1.0), kappa)
    rollout(thrown(1.0))  # any warning would be an error
    with torch.no_grad():
        rollout(thrown(1.0), kappa)
    fine = RolloutModule(lone_vertices(kappa=3e4, dt=9e-5), 60, **options)
    fine(thrown(1.0), kappa)


def test_fast_vertices_that_stay_away_or_leave_are_no_matter():
    rollout = RolloutModule(lone_vertices(kappa=1e5, dt=4e-4), 4)
    rollout(thrown(-2.0))
    rollout(thrown(1.0, height=0.1))


def test_a_contact_pressed_beyond_what_the_step_can_bear_is_an_error_with_a_step_that_can():
    # At 0.1 d̂ a step the approach is fine, but the barrier is far too stiff.
    rollout = RolloutModule(lone_vertices(kappa=1e8, dt=1e-4), 60, compile=False)
    with pytest.raises(UnstableStepError, match="contacts pressed as far as they were") as found:
        rollout(thrown(1.0))
    dt = found.value.suggested_dt
    assert dt < 1e-4
    RolloutModule(lone_vertices(kappa=1e8, dt=dt), round(6e-3 / dt), compile=False)(thrown(1.0))


def test_a_contact_counts_for_the_stable_time_step_as_far_as_it_is_pressed():
    step = dropped()
    away, near = block().vertices, block(0.2 * ACTIVATION).vertices
    step.forces["contact"].obstacle.normal = (0.0, 0.0, 1.0)
    free, held = (float(step.stable_dts(State.at_rest(x))) for x in (away, near))
    assert held < 0.8 * free
    # With w² = w_el² + k/m, in elements whose vertices are in contact.
    k = step.forces["contact"].vertex_stiffness(State.at_rest(near))
    expected = 2 / ((2 / free) ** 2 + float((k / step.vertex_masses).max())) ** 0.5
    assert held == pytest.approx(expected, rel=1e-12)
    assert dropped(dt="auto").dt == pytest.approx(
        0.5 * float(step.stable_dts(contact=step.contact_squares())), rel=0.05
    )


def test_a_fixed_vertex_is_no_limit_for_the_time_step():
    step = dropped(fixed=torch.ones(12, dtype=torch.bool))
    assert step.contact_squares() == 0


def test_an_obstacle_that_moves_into_a_body_within_an_implicit_step_is_an_error():
    step = dropped(kind=BackwardEuler, dt=1e-2)
    path = torch.tensor([0.0, 0.0, 1.0]) * torch.tensor([0.0, 1e-3, 2e-3, 0.05])[:, None]
    controls = obstacle_controls(path, 1e-2, explicit=False)
    error = caught(RolloutModule(step, 3), State.at_rest(block().vertices), controls=controls)
    assert error.step == 3
    assert error.distance < -0.03
    assert re.search(r"in step 3 \(t = 0.03 s\): contact 'contact': .* before its step begins", str(error))


def test_a_moving_obstacle_counts_with_its_own_speed():
    step = lone_vertices(kappa=1e5, dt=4e-4)
    path = torch.tensor([0.0, 0.0, 4e-4]) * torch.arange(11.0)[:, None]
    controls = obstacle_controls(path, step.dt, explicit=True)
    error = caught(RolloutModule(step, 10), thrown(0.0), controls=controls)
    assert error.approach == pytest.approx(0.4)
    assert error.step == 5, "2 mm of 3 are gone, and the next 0.4 would end where the contact acts"


def test_errors_cross_between_processes_with_what_they_know():
    error = PenetrationError("where", step=3, sample=(1,), vertices=(4, 5), distance=-0.1, approach=2.0)
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, SimulationError)
    assert (str(again), again.step, again.sample, again.vertices) == ("where", 3, (1,), (4, 5))
    again.locate(7, 0.5)
    assert (str(again), again.step) == ("in step 7 (t = 3.5 s): where", 7)


@pytest.mark.parametrize("speed", [3.0, 30.0])
@pytest.mark.parametrize("extended", [False, True])
def test_at_random_heights_no_body_ends_on_the_other_side_and_none_is_not_a_number(speed, extended):
    for height in (2e-3 + 0.02 * torch.rand(6)).tolist():
        step = lone_vertices(kappa=1e5, dt=1e-4, height=height, extended=extended)
        try:
            end = RolloutModule(step, 80, compile=False)(thrown(speed, height=height))
        except SimulationError:
            continue
        assert (end.positions[:, 2] > 0).all()
        assert end.positions.isfinite().all()


def test_several_contacts_are_distinguished_by_name():
    mesh = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1), origin=(0.01, 0.0, 0.1))
    options = {"stiffness": 1e5, "activation_distance": 1e-3}
    wall = BarrierContact(mesh, HalfSpace(normal=(1.0, 0.0, 0.0)), **options)
    floor = BarrierContact(mesh, HalfSpace(), **options)
    step = SymplecticEuler(mesh, {"floor": floor, "wall": wall}, dt=4e-4)
    velocities = torch.tensor([-1.0, 0.0, 0.0]).expand(8, 3)
    assert "contact 'wall'" in str(caught(RolloutModule(step, 40), State(mesh.vertices, velocities)))


def place(height: float) -> dict[str, Tensor]:
    return {PLACE_NAME: torch.tensor([0.0, 0.0, height])}


def test_supplied_places_are_those_that_are_checked():
    step = dropped()
    rollout = RolloutModule(step, 10)
    rollout(falling())
    error = caught(rollout, falling(), place(0.02))
    assert (error.step, error.distance < 0) == (0, True)
