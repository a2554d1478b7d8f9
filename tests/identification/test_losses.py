"""The loss: of known distances a known number, and of what was not seen nothing."""

import math
import re

import pytest
import torch
from torch.autograd import gradcheck

from simlayer.identification.losses import PositionLoss

pytestmark = pytest.mark.usefixtures("float64")


def points(*, scenes=2, times=5, count=3):
    return torch.randn(scenes, times, count, 3), torch.randn(scenes, times, count, 3)


def test_the_loss_is_the_mean_square_distance_in_units_of_the_scale():
    seen = torch.randn(2, 5, 3, 3)
    assert PositionLoss(0.5)(seen + torch.tensor([0.03, 0.0, 0.04]), seen).item() == pytest.approx(
        (0.05 / 0.5) ** 2
    )
    assert PositionLoss()(seen, seen).item() == 0


def test_the_loss_does_not_grow_with_scenes_frames_or_points():
    simulated, seen = points()
    one = PositionLoss()(simulated, seen)
    for axis in (0, 1, 2):
        repeats = [4 if a == axis else 1 for a in range(4)]
        many = PositionLoss()(simulated.repeat(repeats), seen.repeat(repeats))
        assert many.item() == pytest.approx(one.item(), rel=1e-13)


def test_the_loss_of_several_scenes_is_the_mean_of_theirs():
    simulated, seen = points(scenes=3)
    single = [PositionLoss()(x, y).item() for x, y in zip(simulated, seen, strict=True)]
    assert PositionLoss()(simulated, seen).item() == pytest.approx(sum(single) / 3, rel=1e-13)


def test_points_that_were_not_seen_count_in_neither_value_nor_gradient():
    simulated, seen = points()
    hidden = torch.rand(2, 5, 3) < 0.4
    gaps = seen.clone()
    # One missing coordinate hides its whole point.
    gaps[hidden, torch.randint(3, (int(hidden.sum()),))] = torch.nan
    simulated.requires_grad_()
    value = PositionLoss(2.0)(simulated, gaps)
    assert value.item() == pytest.approx(
        float((simulated - seen).detach()[~hidden].square().sum(-1).mean()) / 4, rel=1e-13
    )
    value.backward()
    assert (simulated.grad[hidden] == 0).all()
    assert (simulated.grad[~hidden] != 0).all()
    expected = (simulated - seen).detach() * ~hidden[..., None] * 2 / (4 * int((~hidden).sum()))
    torch.testing.assert_close(simulated.grad, expected, rtol=1e-12, atol=0)


def test_the_gradient_is_right_where_points_are_missing():
    simulated, seen = points(times=2)
    seen[0, 1, 1] = torch.nan
    assert gradcheck(lambda x: PositionLoss(0.3)(x, seen), simulated.requires_grad_())


@pytest.mark.parametrize(
    ("frames", "kept"), [("all", [0, 1, 2, 3, 4]), ("last", [4]), ([0, 3], [0, 3]), ([-2], [3]), ((1,), [1])]
)
def test_only_the_frames_asked_for_count(frames, kept):
    simulated, seen = points()
    expected = PositionLoss()(simulated[:, kept], seen[:, kept])
    assert PositionLoss(frames=frames)(simulated, seen).item() == pytest.approx(expected.item(), rel=1e-14)


@pytest.mark.parametrize("frame", [5, -6, 100])
def test_a_frame_that_was_not_seen_is_named(frame):
    with pytest.raises(ValueError, match=f"frames of the loss: {frame} is not among the 5 that were seen"):
        PositionLoss(frames=[0, frame])(*points())


@pytest.mark.parametrize("frames", ["first", "", "ALL"])
def test_a_word_for_frames_is_all_or_last(frames):
    with pytest.raises(
        ValueError, match=f"frames must be 'all', 'last' or a list of indices, got {frames!r}"
    ):
        PositionLoss(frames=frames)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_a_scale_is_a_positive_length(scale):
    with pytest.raises(ValueError, match=re.escape(f"must be a positive length, got {scale}")):
        PositionLoss(scale)
