"""Observed scenes: what is no observation is refused, by name and place."""

import math

import pytest
import torch

from simlayer import ObservationError
from simlayer.identification.scenes import ObservedScenes, checked_scenes

BODY = torch.zeros(2, 4, 3)


def scenes(observed):
    return checked_scenes(ObservedScenes(BODY, BODY, observed))


def test_a_single_point_is_enough():
    observed = torch.full((2, 5, 3, 3), math.nan)
    observed[1, 4, 2] = 0.0
    assert scenes(observed).observed is observed


def test_scenes_in_which_no_coordinate_was_observed_are_refused():
    observed = torch.full((2, 5, 3, 3), math.nan)
    with pytest.raises(ObservationError, match=r"nothing is observed: all 30 points are NaN"):
        scenes(observed)


def test_an_infinite_coordinate_is_refused_with_its_place():
    observed = torch.zeros(2, 5, 3, 3)
    observed[1, 2, 0, 1] = -math.inf
    with pytest.raises(ObservationError, match=r"must be finite, .* got -inf at \(1, 2, 0, 1\)"):
        scenes(observed)
