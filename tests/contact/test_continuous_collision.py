"""Moves that stop before what they may not pass."""

import pytest
import torch
from torch import Tensor

from simlayer.contact.continuous_collision import conservative_advancement

pytestmark = pytest.mark.usefixtures("float64")


def floor(points: Tensor) -> Tensor:
    return points[..., 2]


def ball(points: Tensor) -> Tensor:
    return points.square().sum(-1).sqrt() - 1


def moved(distances, point, direction) -> float:
    return float(
        conservative_advancement(
            distances, torch.tensor([point]).double(), torch.tensor([direction]).double()
        )
    )


def test_a_move_straight_down_leaves_a_tenth_of_the_distance():
    assert moved(floor, [0, 0, 1], [0, 0, -5]) == pytest.approx(0.9 / 5)


def test_a_move_that_meets_nothing_is_made_in_full():
    assert moved(floor, [0, 0, 1], [3, 0, 7]) == 1
    assert moved(floor, [0, 0, 1], [0, 0, 0]) == 1
    assert moved(floor, [0, 0, 1], [0, 0, -0.5]) == 1


def test_sliding_is_not_limited_by_the_distance():
    # A hundred times as far as the floor is away.
    assert moved(floor, [0, 0, 0.01], [1, 0, 0]) == 1


def test_nothing_is_passed_through_even_if_both_ends_are_outside():
    part = moved(ball, [0, 0, 3], [0, 0, -6])
    assert part == pytest.approx(1.8 / 6)
    assert moved(ball, [1.6, 0, 3], [0, 0, -6]) == 1, "a move past it is free"


def test_each_sample_goes_by_the_point_that_meets_something_first():
    points = torch.tensor([[[0.0, 0.0, 1.0], [0.0, 0.0, 2.0]], [[0.0, 0.0, 8.0], [0.0, 0.0, 9.0]]])
    part = conservative_advancement(floor, points, torch.tensor([0.0, 0.0, -4.0]).expand_as(points))
    assert torch.allclose(part, torch.tensor([0.9 / 4, 1.0]))


def test_random_moves_keep_a_twentieth_of_every_distance_on_their_whole_way():
    points = 1.5 * torch.nn.functional.normalize(torch.randn(200, 1, 3), dim=-1)
    direction = 4 * torch.randn(200, 1, 3)
    part = conservative_advancement(ball, points, direction)
    for t in torch.linspace(0, 1, 101):
        assert (ball(points + t * part[:, None, None] * direction) >= 0.05 * 0.5 - 1e-12).all()
