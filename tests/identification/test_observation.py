"""Observation: what is seen between frames is exact where it can be, and differentiable in time."""

import math
import re

import pytest
import torch
from support.observed import DT, observed_beam
from support.scenes import beam, moving
from torch import nn
from torch.autograd import gradcheck

from simlayer import ObservationError, RolloutModule, State
from simlayer.identification.observation import ObservedRollout, interpolate_frames
from simlayer.identification.sensors import Vertices

pytestmark = pytest.mark.usefixtures("float64")
INTERVAL = 0.3


def cubic(t):
    """Positions and velocities of two vertices in two scenes, cubic in time, at times (T,)."""
    coefficients = torch.randn(4, 2, 2, 3, generator=torch.Generator().manual_seed(1))
    t = t[:, None, None, None]
    a, b, c, d = coefficients
    return State(a + b * t + c * t**2 + d * t**3, b + 2 * c * t + 3 * d * t**2)


def frames():
    return cubic(INTERVAL * torch.arange(6.0))


def test_between_frames_cubics_in_time_are_exact():
    times = torch.rand(50) * 5 * INTERVAL
    # Rounding of cubes of 1.5 s.
    torch.testing.assert_close(
        interpolate_frames(frames(), INTERVAL, times), cubic(times).positions, rtol=0, atol=1e-13
    )


def test_at_its_frames_the_interpolation_has_their_positions_also_where_rounding_puts_a_time_before():
    times = INTERVAL * torch.arange(6.0)
    shifted = torch.cat([times, torch.nextafter(times[1:], times[:-1])])
    expected = torch.cat([frames().positions, frames().positions[1:]])
    torch.testing.assert_close(interpolate_frames(frames(), INTERVAL, shifted), expected, rtol=0, atol=1e-14)


def test_before_its_release_a_body_rests_where_it_starts_and_after_the_last_frame_it_stays():
    found = interpolate_frames(frames(), INTERVAL, torch.tensor([-3.0, -1e-9, 0.0, 1.5, 1.6]))
    positions = frames().positions
    assert all(torch.equal(found[k], positions[0]) for k in range(3))
    assert all(torch.equal(found[k], positions[-1]) for k in (3, 4))


def test_the_interpolation_is_differentiable_in_time_and_in_the_frames():
    x, v = (part[:3].clone().requires_grad_() for part in frames()[:2])
    times = torch.tensor([0.05, 0.25, 0.37, 0.51], requires_grad=True)
    assert gradcheck(lambda x, v, t: interpolate_frames(State(x, v), INTERVAL, t), (x, v, times))
    before = torch.tensor([-0.2], requires_grad=True)
    interpolate_frames(frames(), INTERVAL, before).sum().backward()
    assert before.grad.item() == 0


def test_the_slope_in_time_is_the_velocity_of_the_body():
    times = torch.tensor([0.1, 0.3, 0.77])
    _, slopes = torch.func.jvp(
        lambda t: interpolate_frames(frames(), INTERVAL, t), (times,), (torch.ones(3),)
    )
    torch.testing.assert_close(slopes, cubic(times).velocities, rtol=0, atol=1e-12)


# A rollout that is observed.


def test_at_whole_steps_the_states_of_the_rollout_are_observed():
    state = moving((3, 1, 1), 2)
    for every in (1, 2, 4):
        times = torch.arange(every, 9, every) * DT
        observed = observed_beam(times=times, frames=1)
        assert observed.every == every
        expected = observed.rollout.trajectory(state, every=every).positions[1:].movedim(0, 1)
        torch.testing.assert_close(observed(state), expected, rtol=0, atol=1e-15)


def test_times_may_lie_between_steps_and_before_the_release():
    observed = observed_beam(times=torch.tensor([-0.003, 0.0, 0.5 * DT, 7.25 * DT]), frames=1)
    state = moving()
    assert observed.every == 1
    points = observed(state)
    assert points.shape == (4, 16, 3)
    assert torch.equal(points[0], state.positions)
    assert torch.equal(points[1], state.positions)
    motion = observed.rollout.trajectory(state)
    x, v = motion.positions[7:9], DT * motion.velocities[7:9]
    # The cubic of Hermite at 1/4, by its four weights.
    expected = (54 * x[0] + 10 * x[1] + 9 * v[0] - 3 * v[1]) / 64
    torch.testing.assert_close(points[3], expected, rtol=0, atol=1e-15)


def test_a_release_shifts_the_clock():
    times = torch.tensor([0.004, 0.0105, 0.0155])
    state = moving()
    late = observed_beam(times=times + 0.25, release_time=0.25)
    # Rounding of a quarter of a second.
    torch.testing.assert_close(late(state), observed_beam(times=times)(state), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("steps", "apart"), [(12, 6.0), (12, 5.0), (7, 3.5), (30, 8.0), (9, 0.5)])
@pytest.mark.parametrize("frames", [1, 2, 4])
def test_frames_divide_the_steps_and_are_near_enough(steps, apart, frames):
    times = torch.tensor([apart, 2 * apart]).clamp(max=steps).unique() * DT
    every = observed_beam(steps, times=times, frames=frames).every
    assert steps % every == 0
    assert every == 1 or every * frames <= apart + 1e-9
    assert all(steps % k or k * frames > apart for k in range(every + 1, steps + 1) if len(times) > 1)


def test_of_a_single_time_only_the_last_frame_is_kept():
    assert observed_beam(12).every == 12


def test_what_is_known_and_what_is_added_make_the_start():
    observed, state = observed_beam(), moving()
    observed.initial.velocities = torch.tensor([[0.0, 0.0, 1.0]])
    assert torch.equal(observed.start(state).velocities, state.velocities + torch.tensor([0.0, 0.0, 1.0]))
    faster = State(state.positions, state.velocities + torch.tensor([0.0, 0.0, 1.0]))
    assert torch.equal(observed(state), observed_beam()(faster))
    bare = ObservedRollout(observed.rollout, Vertices(), observed.times)
    assert bare.start(state) is state
    assert "initial.velocities" not in bare.quantities_by_name()


def test_the_gradient_of_the_release_time_is_the_central_difference():
    state, weights = moving(), torch.randn(3, 16, 3)
    times = torch.tensor([0.0047, 0.0083, 0.0128])
    observed = observed_beam(times=times, release_time=0.001, frames=1)
    parameter = dict(observed.named_parameters())["scaled_release_time"].requires_grad_()
    (observed(state) * weights).sum().backward()
    h = 1e-6
    ends = [
        (observed_beam(times=times, release_time=0.001 + d, frames=1)(state) * weights).sum() for d in (h, -h)
    ]
    # The second derivative of the cubics, v/dt² over dt, times h².
    # It is stored in units of 10 ms.
    assert parameter.grad.item() / 0.01 == pytest.approx(float(ends[0] - ends[1]) / (2 * h), rel=1e-6)


@pytest.mark.parametrize(
    ("times", "options", "message"),
    [
        ([], {}, "times must hold at least one number"),
        ([0.004, 0.004], {}, "times must be finite and increase"),
        ([0.004, 0.002], {}, "times must be finite and increase"),
        ([math.nan], {}, "times must be finite and increase"),
        (
            [0.0161],
            {},
            "the last observation is 0.0161 s after the release_time of 0 s, but the rollout ends at "
            "0.016 s: simulate 9",
        ),
        (
            [0.016],
            {"release_time": -0.01},
            "0.026 s after the release_time of -0.01 s, but the rollout ends at 0.016 s: simulate 14",
        ),
        ([0.016], {"frames": 0}, "frames must be an int, at least 1, got 0"),
    ],
)
def test_what_cannot_be_observed_says_why(times, options, message):
    rollout = RolloutModule(beam(dt=DT), 8, compile=False)
    with pytest.raises(ValueError, match=re.escape(message)):
        ObservedRollout(rollout, Vertices(), torch.tensor(times), **options)


class Returning(nn.Module):
    """Sensors that return points in a way of their own."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def forward(self, positions):
        return self.change(positions[..., :2, :].clone())


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda points: points.to_sparse(),
            "sensors (Returning) must be a plain tensor of real numbers",
        ),
        (lambda points: points.to("meta"), "got one that is on the device 'meta'"),
        (lambda points: points / 0, "sensors (Returning) must return finite points, got NaN or infinity"),
    ],
)
def test_points_that_are_no_finite_numbers_are_refused_by_the_name_of_the_sensors(change, message):
    observed = observed_beam(times=DT * torch.arange(1, 3))
    observed.sensors = Returning(change)
    with pytest.raises(ValueError, match=re.escape(message)):
        observed(moving((3, 1, 1), 2))


def test_the_number_of_steps_that_an_error_asks_for_is_enough():
    for last in (0.017, 0.018, 0.0201):
        with pytest.raises(ObservationError) as error:
            observed_beam(times=torch.tensor([last]))
        steps = int(re.search(r"simulate (\d+) steps", str(error.value)).group(1))
        assert observed_beam(steps, times=torch.tensor([last])).rollout.num_steps >= math.floor(last / DT)


@pytest.mark.unchecked
def test_a_release_time_of_several_samples_is_refused_when_made_and_when_assigned():
    message = re.escape("release_time must be one number [s], got shape (2, 1)")
    with pytest.raises(ObservationError, match=message):
        observed_beam(release_time=torch.zeros(2, 1))
    observed = observed_beam()
    observed.release_time = torch.zeros(2, 1)
    with pytest.raises(ObservationError, match=message):
        observed(moving())


def test_a_module_that_cannot_observe_is_named():
    with pytest.raises(
        ObservationError, match=r"sensors \(Linear\) cannot observe positions of shape \(\d+, 16, 3\)"
    ):
        ObservedRollout(observed_beam().rollout, nn.Linear(2, 2), torch.tensor([DT]))(moving((3, 1, 1)))


def test_a_release_time_of_any_axes_is_one_number():
    expected = observed_beam(release_time=0.5 * DT)(moving((3, 1, 1)))
    for shape in ((1,), (1, 1, 1)):
        found = observed_beam(release_time=torch.full(shape, 0.5 * DT))(moving((3, 1, 1)))
        assert torch.equal(found, expected)
