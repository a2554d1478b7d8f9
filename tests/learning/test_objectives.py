"""Objectives: known numbers of known motions."""

import math

import pytest
import torch

from simlayer import ObservationError, State
from simlayer.learning import DistanceToGoal, Travel

pytestmark = pytest.mark.usefixtures("float64")


def motion(*, frames=10, samples=2, vertices=3):
    """A body that moves along x by 1 m per frame, each sample twice as far as the one before."""
    positions = torch.zeros(frames, samples, vertices, 3)
    positions[..., 0] = torch.arange(float(frames)).view(-1, 1, 1) * torch.tensor([1.0, 2.0]).view(-1, 1)
    return State(positions, torch.zeros_like(positions))


def test_the_distance_is_the_mean_over_the_end_of_the_motion():
    goal = torch.tensor([[10.0, 0.0, 0.0], [20.0, 0.0, 0.0]])
    assert DistanceToGoal([0, 2], last=0.2)(motion(), goal).tolist() == [1.5, 3.0]
    assert DistanceToGoal([1], last=1.0)(motion(), goal).tolist() == [5.5, 11.0]
    # At least the last frame counts.
    assert DistanceToGoal([1], last=1e-9)(motion(), goal).tolist() == [1.0, 2.0]


def test_the_point_is_the_mean_of_the_vertices():
    positions = torch.randn(4, 5, 3)
    found = DistanceToGoal([1, 4]).point(positions)
    torch.testing.assert_close(found, (positions[:, 1] + positions[:, 4]) / 2)


def test_travel_is_minus_the_way_along_the_direction():
    assert Travel()(motion()).tolist() == [-9.0, -18.0]
    assert Travel((-2.0, 0.0, 0.0))(motion()).tolist() == [9.0, 18.0]
    assert Travel((0.0, 3.0, 0.0))(motion()).tolist() == [0.0, 0.0]
    torch.testing.assert_close(Travel((1.0, 1.0, 0.0))(motion())[0], torch.tensor(-9 / math.sqrt(2)))


@pytest.mark.unchecked
@pytest.mark.parametrize("goal", [(3,), (1, 3), (2, 2), (2, 1, 3)])
def test_goals_that_are_no_point_per_sample_are_refused(goal):
    with pytest.raises(ObservationError, match="goal must be a point per sample"):
        DistanceToGoal([0])(motion(), torch.zeros(goal))


@pytest.mark.parametrize("vertices", [[], [-1], [[0, 1]]])
def test_vertices_that_are_none_are_refused(vertices):
    with pytest.raises((ValueError, TypeError), match="vertices must be"):
        DistanceToGoal(vertices)


@pytest.mark.parametrize("direction", [(0.0, 0.0, 0.0), (1.0, 0.0), (math.nan, 0.0, 0.0), (math.inf, 0, 0)])
def test_a_direction_that_is_none_is_refused(direction):
    with pytest.raises(ValueError, match="direction must be"):
        Travel(direction)


@pytest.mark.parametrize("last", [0.0, 1.1, -1.0])
def test_a_share_of_the_motion_is_above_zero_and_at_most_one(last):
    with pytest.raises(ValueError, match="last must be"):
        DistanceToGoal([0], last=last)
