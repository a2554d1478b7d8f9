"""What is said when a simulation cannot go on."""

import math
import pickle

import pytest
import torch
from support.scenes import E_NAME, LOAD_NAME, beam, free_box, moving, noise, rest
from torch import Tensor

from simlayer import DivergenceError, Force, RolloutModule, SimulationError, State, UnstableStepError

pytestmark = pytest.mark.usefixtures("float64")


class Fuse(Force):
    """A force that is NaN at one vertex of one sample from a height on."""

    def __init__(self, vertex: int, height: float) -> None:
        super().__init__()
        self.vertex, self.height = vertex, height

    def forward(self, state: State) -> Tensor:
        force = torch.zeros_like(state.positions)
        z = state.positions[..., self.vertex, 2]
        force[..., self.vertex, 2] = torch.where(z > self.height, math.nan, 0.0)
        return force


class Everywhere(Force):
    """A force that is NaN at every vertex."""

    def forward(self, state: State) -> Tensor:
        return state.positions * math.nan


def moduli(*values: float) -> Tensor:
    return torch.tensor(values).log()[:, None]


def test_a_time_step_beyond_the_stable_one_names_the_sample_and_a_time_step_that_works():
    rollout = RolloutModule(free_box(dt=2e-3), 2000)
    parameters = {E_NAME: moduli(1e5, 1e7, 1e6)}
    start = moving((2, 1, 1), amount=1e-5)
    with pytest.raises(UnstableStepError, match=r"dt = 0.002 s is beyond .* of sample \(1,\)") as caught:
        rollout(start, parameters)
    assert caught.value.sample == (1,)
    dt, substeps = caught.value.suggested_dt, caught.value.suggested_substeps
    rollout.step.dt = dt
    assert (rollout(start, parameters).positions - rest((2, 1, 1))).abs().max() < 1e-2
    again = RolloutModule(free_box(dt=2e-3, substeps=substeps), 100)
    assert (again(start, parameters).positions - rest((2, 1, 1))).abs().max() < 1e-2
    assert 2e-3 / dt <= substeps <= 2e-3 / dt + 2, "both remedies say the same"


def test_several_batch_axes_name_the_sample_by_all_of_its_indices():
    rollout = RolloutModule(free_box(dt=2e-3), 5)
    parameters = {E_NAME: moduli(1e5, 1e7)[:, None], "gravity": torch.zeros(3, 3)}
    with pytest.raises(UnstableStepError, match=r"of sample \(1, 0\)"):
        rollout(moving((2, 1, 1)), parameters)


def test_without_a_batch_no_sample_is_named():
    with pytest.raises(UnstableStepError, match=r"beyond the stable time step, \S+ s for the quantities"):
        RolloutModule(free_box(dt=1e-2), 5)(moving((2, 1, 1)))


def test_substeps_count_for_the_stable_time_step_and_are_named():
    limit = free_box().stable_dt(State.at_rest(rest((2, 1, 1))))
    RolloutModule(free_box(dt=2.9 * limit, substeps=3), 5)(State.at_rest(rest((2, 1, 1))))
    with pytest.raises(UnstableStepError, match=r"dt = \S+ s in 3 substeps is beyond"):
        RolloutModule(free_box(dt=3.1 * limit, substeps=3), 5)(State.at_rest(rest((2, 1, 1))))


def test_a_soft_supplied_value_makes_a_time_step_valid_that_the_own_one_forbids():
    rollout = RolloutModule(free_box(youngs_modulus=1e9, dt=1e-3), 5)
    with pytest.raises(UnstableStepError):
        rollout(moving((2, 1, 1)))
    rollout(moving((2, 1, 1)), {E_NAME: moduli(1e5)[0]})


def test_a_force_that_is_not_a_number_is_named_with_step_sample_vertices_and_stable_time_step():
    # Flying upwards at 1 m/s in a vacuum, sample 1 starts higher and meets the fuse after 0.05 m: step 6.
    step = free_box(
        forces={"fuse": Fuse(vertex=7, height=0.1 + 0.0505)}, dt=1e-2, youngs_modulus=1e3, substeps=2
    )
    x = rest((2, 1, 1))
    assert x[7, 2] == pytest.approx(0.1)
    start = State(torch.stack([x - 1.0, x]), torch.tensor([0.0, 0.0, 1.0]).expand(2, 12, 3))
    with pytest.raises(DivergenceError) as caught:
        RolloutModule(step, 20)(start)
    error = caught.value
    assert "after step 6 (t = 0.06 s), sample (1,), vertices [7]; not finite: force 'fuse'." in str(error)
    assert (error.step, error.sample, error.vertices, error.forces) == (6, (1,), (7,), ("fuse",))
    assert error.stable_dt == pytest.approx(step.stable_dt(State.at_rest(x)), rel=1e-6)


def test_the_vertices_that_are_not_finite_are_listed_up_to_a_handful():
    with pytest.raises(DivergenceError, match=r"vertices \[0, 1, 2, 3, 4\] and 11 more"):
        RolloutModule(beam(forces={"wild": Everywhere()}), 1)(moving())


def test_a_state_that_starts_as_not_a_number_is_said_to_be_so():
    start = moving((3, 1, 1), 2, 3)
    start.positions[1, 2, 4, 0] = math.nan
    with pytest.raises(
        DivergenceError, match=r"the initial state is not finite: sample \(1, 2\), vertices \[4\]\.$"
    ):
        RolloutModule(beam(), 3)(start)
    start = moving()
    start.velocities[[3, 9], 1] = math.inf
    with pytest.raises(DivergenceError, match=r"the initial state is not finite: vertices \[3, 9\]\.$"):
        RolloutModule(beam(), 3)(start)


@pytest.mark.parametrize(
    ("positions", "velocities", "said"),
    [
        (
            1e6,
            0.0,
            "from a state whose positions stretch cells to 1e+06 times their rest shape: are they in m",
        ),
        (0.0, 0.0, "from a state whose positions stretch cells to 0 times their rest shape: are they in m"),
        (
            1.0,
            1e5,
            "from a state whose velocities stretch cells to 1e+02 times that in one dt: are they in m",
        ),
        (1.0, 1.0, ""),
    ],
)
def test_a_rollout_that_failed_from_an_unlikely_state_says_what_is_unlikely_of_it(
    positions, velocities, said
):
    rollout = RolloutModule(beam(dt=1e-3, forces={"wild": Everywhere()}), 1)
    with pytest.raises(DivergenceError) as caught:
        rollout(State(positions * rest(), velocities * rest()))
    assert said in str(caught.value)
    assert bool(said) == ("It started from" in str(caught.value))


def test_a_state_that_starts_as_not_a_number_is_said_to_be_so_near_the_stable_time_step_too():
    # Between the cheap bound and the eigenvalues, the check looks at the state.
    step = beam()
    step.dt = 1.01 * float(step.stable_dts())
    start = moving()
    start.positions[4, 0] = math.nan
    with pytest.raises(DivergenceError, match="the initial state is not finite"):
        RolloutModule(step, 3)(start)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_quantity_that_is_not_finite_is_named(value):
    with pytest.raises((SimulationError, ValueError), match="youngs_modulus must be positive"):
        RolloutModule(beam(), 3)(moving(), {E_NAME: torch.tensor([value])})


def test_a_motion_that_becomes_unstable_on_the_way_is_reported_and_not_returned():
    # Stable at rest, but vertices at 5 m/s cross the body in one step.
    start = State(moving().positions, 1e3 * moving().velocities)
    with pytest.raises(DivergenceError, match=r"after step \d+ .*force 'elastic'.*Try a smaller dt"):
        RolloutModule(beam(), 200)(start)


def test_a_failure_among_gradients_and_checkpoints_is_reported_too():
    start = State(moving().positions, 1e3 * moving().velocities)
    modulus = {E_NAME: torch.tensor(11.5, requires_grad=True)}
    with pytest.raises(DivergenceError, match="force 'elastic'"):
        RolloutModule(beam(), 200, checkpoint="sqrt")(start, modulus)


def test_a_failure_of_a_compiled_rollout_is_explained_by_the_eager_one():
    step = free_box(forces={"fuse": Fuse(vertex=7, height=-10.0)})
    with pytest.raises(DivergenceError, match=r"after step 1 .*vertices \[7\]; not finite: force 'fuse'"):
        RolloutModule(step, 1, compile="eager")(moving((2, 1, 1)))


def test_a_failure_under_controls_uses_the_values_of_its_step():
    # A force that is finite, and the velocity after it is not.
    step = beam(density=1.0, youngs_modulus=100.0)
    controls = 1e-3 * noise(5, 1, 3)
    controls[3] = 1e308
    with pytest.raises(DivergenceError, match=r"after step 4 .*all forces are still finite before it"):
        RolloutModule(step, 5)(moving(), controls={LOAD_NAME: controls})


def test_without_validation_nothing_is_raised_and_the_end_says_it_all():
    start = moving()
    start.positions[4, 0] = math.nan
    end = RolloutModule(beam(), 3, validate=False)(start)
    assert not end.positions.isfinite().all()


@pytest.mark.parametrize("error", [SimulationError, UnstableStepError, DivergenceError])
def test_failures_are_runtime_errors_and_cross_between_processes(error):
    again = pickle.loads(pickle.dumps(error("what, where, why")))
    assert isinstance(again, RuntimeError)
    assert type(again) is error
    assert str(again) == "what, where, why"
