"""Several takes of one motion: simulated once, each observed at its own times after its own release."""

import pytest
import torch
from support.observed import DT, E, beam_mesh, observed_beam
from support.scenes import moving

from simlayer.errors import ObservationError
from simlayer.identification.identified import Identified
from simlayer.identification.initial_state import InitialState
from simlayer.identification.losses import PositionLoss
from simlayer.identification.module import ParameterIdentification
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.scenes import ObservedScenes
from simlayer.identification.sensors import Vertices
from simlayer.identification.takes import ObservedTakes
from simlayer.identification.uncertainty import assess
from simlayer.state import State

pytestmark = pytest.mark.usefixtures("float64")
RELEASES = {"a": 0.3 * DT, "b": 5.4 * DT}


def takes(releases=RELEASES):
    """A longer take and a shorter one, whose clock begins later."""
    first = observed_beam(16, times=torch.arange(2.0, 12.0) * DT, frames=1, release_time=releases["a"])
    times = torch.arange(7.0, 13.0) * DT
    options = {"initial": first.initial, "frames": 1, "release_time": releases["b"]}
    second = ObservedRollout(first.rollout, Vertices(), times, **options)
    return ObservedTakes({"a": first, "b": second})


def start():
    state = moving((3, 1, 1), 1)
    return State(*(part.expand(2, -1, -1) for part in state[:2]))


def test_each_take_is_what_its_own_observation_gives_preceded_by_zeros():
    observed = takes()
    points = observed(start())
    assert points.shape == (2, 10, 16, 3)
    for k, take in enumerate(observed.takes):
        count = len(take.times)
        torch.testing.assert_close(points[k, 10 - count :], take(State(*(x[:1] for x in start()[:2])))[0])
        assert not points[k, : 10 - count].any()


def test_takes_that_start_differently_are_simulated_one_by_one():
    observed, state = takes(), moving((3, 1, 1), 2)
    for k, take in enumerate(observed.takes):
        alone = take(State(*(part[[k]] for part in state[:2])))[0]
        torch.testing.assert_close(observed(state)[k, -len(alone) :], alone)


def test_one_modulus_and_the_release_of_each_take_are_found():
    observed = takes()
    points = [take(State(*(x[:1] for x in start()[:2])))[0] for take in observed.takes]
    scenes = ObservedScenes(*start()[:2], torch.stack([observed.padded(p, torch.nan) for p in points]))
    observed.takes[0].rollout.step.forces["elastic"].material.youngs_modulus = 1.3e5
    for take in observed.takes:
        take.release_time = float(take.release_time) + 0.2 * DT
    names = [E, "a.release_time", "b.release_time"]
    model = ParameterIdentification(observed, trainable=names, loss=PositionLoss(0.01))
    problem = model.least_squares()
    optimizer = model.configure_optimizers()
    while not optimizer.converged:
        optimizer.step(lambda: model._gauss_newton.evaluate(scenes))
    found = Identified(tuple(model.unknowns), assess(problem, scenes), points[0][None].numpy(), 0)
    assert found.values == pytest.approx(
        {E: 1e5, "a.release_time": RELEASES["a"], "b.release_time": RELEASES["b"]}, rel=1e-6
    )
    assert found.uncertainty.linear.numbers == 16 * 48


def test_takes_of_different_rollouts_are_refused():
    with pytest.raises(ObservationError, match="must share one rollout"):
        ObservedTakes({"a": observed_beam(), "b": observed_beam()})
    first = observed_beam()
    other = ObservedRollout(
        first.rollout, Vertices(), first.times, initial=InitialState(beam_mesh()), frames=1
    )
    with pytest.raises(ObservationError, match="one InitialState"):
        ObservedTakes({"a": first, "b": other})


def test_no_take_at_all_is_refused():
    with pytest.raises(ObservationError, match="takes must hold at least one ObservedRollout, got none"):
        ObservedTakes({})


def test_states_that_are_not_one_per_take_are_refused():
    with pytest.raises(ObservationError, match=r"state must be of 2 scenes, one per take.*\(3, 16, 3\)"):
        takes()(moving((3, 1, 1), 3))
    with pytest.raises(ObservationError, match=r"state must be of 2 scenes, one per take.*\(16, 3\)"):
        takes()(moving((3, 1, 1)))


def test_a_take_that_is_longer_than_the_longest_is_not_padded():
    with pytest.raises(ObservationError, match=r"points must be those of one take.* at most 10 frames, got"):
        takes().padded(torch.zeros(11, 16, 3), 0.0)
