import math

import pytest
import torch

from simlayer.laboratory import Pull, Twist
from simlayer.readouts import Wrench

pytestmark = pytest.mark.usefixtures("float64")


def test_a_pull_moves_all_vertices_along_its_axis_and_measures_the_force_there():
    pull = Pull((0, 3, 4))
    moved = pull.moved(torch.zeros(2, 3), torch.tensor([0.0, 5.0]))
    torch.testing.assert_close(moved[1], torch.tensor([0.0, 3.0, 4.0]).expand(2, 3))
    assert float(pull.load(Wrench(torch.tensor([9.0, 1.0, 2.0]), torch.zeros(3)))) == pytest.approx(2.2)


def test_a_twist_turns_anticlockwise_about_its_axis_and_measures_the_torque_about_it():
    twist = Twist((0, 0, 2), about=(1.0, 0.0, 0.0))
    moved = twist.moved(torch.tensor([[2.0, 0.0, 7.0]]), torch.tensor([math.pi / 2]))
    torch.testing.assert_close(moved[0, 0], torch.tensor([1.0, 1.0, 7.0]))
    assert float(twist.load(Wrench(torch.ones(3), torch.tensor([1.0, 2.0, 3.0])))) == pytest.approx(3)


def test_axes_without_a_direction_are_refused():
    with pytest.raises(ValueError, match="axis"):
        Pull((0, 0, 0))
    with pytest.raises(ValueError, match="about"):
        Twist((0, 0, 1), about=(1.0, 2.0))
