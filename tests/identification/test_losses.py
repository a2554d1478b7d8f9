"""The loss: of known distances a known number, and of what was not seen nothing."""

import math
import re

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from simlayer import ObservationError
from simlayer.identification.losses import LeastSquaresLoss, PositionLoss, format_residual, residual

pytestmark = pytest.mark.usefixtures("float64")


def points(*, scenes=2, times=5, count=3):
    return torch.randn(scenes, times, count, 3), torch.randn(scenes, times, count, 3)


def test_the_loss_is_the_mean_square_distance_in_units_of_the_scale():
    observed = torch.randn(2, 5, 3, 3)
    assert PositionLoss(0.5)(observed + torch.tensor([0.03, 0.0, 0.04]), observed).item() == pytest.approx(
        (0.05 / 0.5) ** 2
    )
    assert PositionLoss()(observed, observed).item() == 0


def test_the_loss_does_not_grow_with_scenes_frames_or_points():
    simulated, observed = points()
    one = PositionLoss()(simulated, observed)
    for axis in (0, 1, 2):
        repeats = [4 if a == axis else 1 for a in range(4)]
        many = PositionLoss()(simulated.repeat(repeats), observed.repeat(repeats))
        assert many.item() == pytest.approx(one.item(), rel=1e-13)


def test_coordinates_count_by_the_squares_of_their_noise():
    simulated, observed = points()
    noise = torch.tensor([[1e-3, 1e-3, 5e-3], [1e-3, 1e-3, 5e-3], [2e-3, 2e-3, 2e-3]])
    residuals = PositionLoss(noise=noise).residuals(simulated, observed)
    weighted = (simulated - observed) / noise
    # All by the same factor, so that the mean square of the weights is one.
    factor = residuals / weighted
    torch.testing.assert_close(factor, factor[:1, :1, :1, :1].expand_as(factor))
    assert float((factor / noise).square().mean()) == pytest.approx(1.0)
    equal = PositionLoss(0.5, noise=[2e-3, 2e-3, 2e-3])(simulated, observed)
    assert equal.item() == pytest.approx(PositionLoss(0.5)(simulated, observed).item())


def test_noise_that_is_none_or_of_other_points_is_refused():
    with pytest.raises(ObservationError, match="noise must be positive and finite"):
        PositionLoss(noise=[1e-3, 0.0, 1e-3])
    with pytest.raises(ObservationError, match=r"noise of shape \(2, 3\) does not fit 3 points"):
        PositionLoss(noise=torch.ones(2, 3))(*points())


def test_the_loss_of_several_scenes_is_the_mean_of_theirs():
    simulated, observed = points(scenes=3)
    single = [PositionLoss()(x, y).item() for x, y in zip(simulated, observed, strict=True)]
    assert PositionLoss()(simulated, observed).item() == pytest.approx(sum(single) / 3, rel=1e-13)


def test_points_that_were_not_observed_count_in_neither_value_nor_gradient():
    simulated, observed = points()
    hidden = torch.rand(2, 5, 3) < 0.4
    gaps = observed.clone()
    gaps[hidden] = torch.nan
    simulated.requires_grad_()
    value = PositionLoss(2.0)(simulated, gaps)
    assert value.item() == pytest.approx(
        float((simulated - observed).detach()[~hidden].square().sum(-1).mean()) / 4, rel=1e-13
    )
    value.backward()
    assert (simulated.grad[hidden] == 0).all()
    assert (simulated.grad[~hidden] != 0).all()
    expected = (simulated - observed).detach() * ~hidden[..., None] * 2 / (4 * int((~hidden).sum()))
    torch.testing.assert_close(simulated.grad, expected, rtol=1e-12, atol=0)


def test_of_points_seen_in_some_coordinates_only_these_count():
    simulated, observed = points()
    seen = torch.rand(2, 5, 3, 3) < 0.6
    gaps = observed.where(seen, torch.nan)
    simulated.requires_grad_()
    value = PositionLoss(2.0)(simulated, gaps)
    difference = (simulated - observed).detach() * seen
    count = int(seen.any(-1).sum())
    assert value.item() == pytest.approx(float(difference.square().sum()) / (4 * count), rel=1e-13)
    value.backward()
    torch.testing.assert_close(simulated.grad, difference * 2 / (4 * count), rtol=1e-12, atol=0)


def test_one_camera_sees_the_mean_square_distance_in_its_plane():
    observed = torch.randn(2, 5, 3, 3)
    flat = observed.clone()
    flat[..., 1] = torch.nan
    moved = observed + torch.tensor([0.03, 7.0, 0.04])
    assert PositionLoss(0.5)(moved, flat).item() == pytest.approx((0.05 / 0.5) ** 2)


def test_the_gradient_is_right_where_points_and_coordinates_are_missing():
    simulated, observed = points(times=2)
    observed[0, 1, 1] = torch.nan
    observed[1, 0, 2, 1] = torch.nan
    assert gradcheck(lambda x: PositionLoss(0.3)(x, observed), simulated.requires_grad_())


@pytest.mark.parametrize(
    ("frames", "kept"), [("all", [0, 1, 2, 3, 4]), ("last", [4]), ([0, 3], [0, 3]), ([-2], [3]), ((1,), [1])]
)
def test_only_the_frames_asked_for_count(frames, kept):
    simulated, observed = points()
    expected = PositionLoss()(simulated[:, kept], observed[:, kept])
    assert PositionLoss(frames=frames)(simulated, observed).item() == pytest.approx(
        expected.item(), rel=1e-14
    )


@pytest.mark.parametrize("frame", [5, -6, 100])
def test_a_frame_that_was_not_observed_is_named(frame):
    with pytest.raises(ValueError, match=f"frames of the loss: {frame} is not among the 5 observed"):
        PositionLoss(frames=[0, frame])(*points())


@pytest.mark.parametrize("frames", ["first", "", "ALL"])
def test_a_word_for_frames_is_all_or_last(frames):
    with pytest.raises(
        ValueError, match=f"frames must be 'all', 'last' or a list of indices, got {frames!r}"
    ):
        PositionLoss(frames=frames)


@pytest.mark.unchecked
@pytest.mark.parametrize("frames", [[], [0.5], ["last"], [None], torch.tensor([0.5])])
def test_frames_are_at_least_one_and_whole_numbers(frames):
    with pytest.raises((ValueError, TypeError), match="frames must "):
        PositionLoss(frames=frames)


@pytest.mark.unchecked
@pytest.mark.parametrize("observed", [(2, 1, 3), (4, 3), (1, 2, 4, 3), (3, 2, 4, 3), (2, 4, 1), (2, 5, 3)])
def test_points_of_other_shapes_are_not_broadcast(observed):
    for compare in (PositionLoss(), PositionLoss(frames="last"), residual):
        with pytest.raises(ObservationError, match=re.escape(str(observed))):
            compare(torch.zeros(2, 4, 3), torch.zeros(observed))


@pytest.mark.parametrize("shape", [(0, 3, 3), (2, 0, 3), (0, 5, 2, 3)])
def test_a_loss_of_no_points_is_refused(shape):
    with pytest.raises(ObservationError, match="simulated must hold at least one point"):
        PositionLoss()(torch.zeros(shape), torch.zeros(shape))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_a_scale_is_a_positive_length(scale):
    with pytest.raises(ValueError, match=f"scale must be a positive finite number in m, got {scale}"):
        PositionLoss(scale)


# The residual.


def test_a_residual_is_the_root_mean_square_in_each_direction_and_in_all():
    observed = torch.randn(5, 2, 3)
    found = residual(observed + torch.tensor([3e-4, 0.0, -4e-4]), observed)
    assert [found[key] for key in ("x", "y", "z", "rms")] == pytest.approx([3e-4, 0.0, 4e-4, 5e-4])


def test_points_that_were_not_observed_do_not_count():
    observed = torch.zeros(4, 3, 3)
    simulated = torch.full_like(observed, 1e-3)
    observed[1] = observed[2, 0] = torch.nan
    assert residual(simulated, observed)["z"] == pytest.approx(1e-3)


def test_an_axis_that_was_never_observed_has_no_residual_and_does_not_hide_the_others():
    observed = torch.zeros(4, 3, 3)
    observed[..., 2] = torch.nan
    found = residual(observed.nan_to_num() + torch.tensor([3e-4, 4e-4, 9.0]), observed)
    assert found == pytest.approx({"rms": 5e-4, "x": 3e-4, "y": 4e-4})
    assert format_residual(found) == "0.500 mm rms (x 0.300, y 0.400)"


def test_people_read_it_in_millimetres():
    assert (
        format_residual({"rms": 5e-4, "x": 3e-4, "y": 0.0, "z": 4e-4})
        == "0.500 mm rms (x 0.300, y 0.000, z 0.400)"
    )


def test_a_residual_of_almost_nothing_is_told_by_its_size_and_not_by_zeros():
    assert format_residual({"rms": 5e-11, "x": 3e-11, "y": 4e-11}) == "5e-08 mm rms (x 3e-08, y 4e-08)"
    assert format_residual({"rms": 0.0, "x": 0.0}) == "0.000 mm rms (x 0.000)"


@pytest.mark.unchecked
@pytest.mark.parametrize("convert", [Tensor.half, Tensor.bfloat16, Tensor.to_sparse, lambda x: x.to("meta")])
@pytest.mark.parametrize("name", ["simulated", "observed"])
def test_points_without_plain_floats_are_refused_by_name(name, convert):
    given = {"simulated": torch.zeros(5, 3, 3), "observed": torch.zeros(5, 3, 3)}
    with pytest.raises((TypeError, ValueError), match=f"^{name} must be a .*tensor of"):
        PositionLoss()(**(given | {name: convert(given[name])}))


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_simulated_points_that_are_not_finite_have_a_loss_that_is_not(wrong):
    simulated, observed = points()
    simulated[0, 0, 0, 0] = wrong
    assert not PositionLoss()(simulated, observed).isfinite()


def test_points_of_both_precisions_have_a_loss_in_double():
    simulated, observed = points()
    loss = PositionLoss()(simulated, observed.float())
    assert loss.dtype == torch.float64
    # The rounding of observed coordinates of about one.
    assert loss.item() == pytest.approx(PositionLoss()(simulated, observed).item(), rel=1e-6)


class Fixed(LeastSquaresLoss):
    """A loss whose methods return what they are told to."""

    def __init__(self, residuals, present):
        super().__init__()
        self.returned = residuals, present

    def residuals(self, simulated, observed):
        return self.returned[0]

    def present(self, observed):
        return self.returned[1]


SEEN = torch.ones(2, 4, 3, dtype=torch.bool)


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("residuals", "present", "message"),
    [
        (1.0, SEEN, r"Fixed.residuals must return \(\*batch, F, K, 3\), got 1.0"),
        (
            torch.ones(2, 4),
            SEEN,
            r"Fixed.residuals must return \(\*batch, F, K, 3\), got Tensor of shape \(2, 4\)",
        ),
        (torch.ones(2, 4, 3).half(), SEEN, r"what Fixed.residuals returns must be a tensor of float32"),
        (torch.ones(2, 4, 3), SEEN[:1], r"Fixed.present must return a boolean tensor of shape \(2, 4, 3\)"),
        (torch.ones(2, 4, 3), SEEN.double(), r"tensor of shape \(2, 4, 3\), one for each coordinate"),
        (
            torch.ones(2, 4, 3),
            SEEN.to_sparse(),
            r"Fixed.present must return a plain tensor, got one that is sparse",
        ),
    ],
)
def test_what_the_methods_of_a_loss_return_is_checked_by_their_names(residuals, present, message):
    with pytest.raises(TypeError, match=message):
        Fixed(residuals, present)(torch.ones(2, 4, 3), torch.ones(2, 4, 3))


@pytest.mark.parametrize("noise", [1e-300, 1e300, [1e-300, 1e-300, 2e-300]])
def test_only_the_relative_size_of_noise_matters_however_large_it_is(noise):
    simulated, observed = points()
    ratio = torch.tensor(noise, dtype=torch.float64) / torch.tensor(noise, dtype=torch.float64).max()
    expected = PositionLoss(noise=ratio)(simulated, observed)
    assert PositionLoss(noise=noise)(simulated, observed).item() == pytest.approx(expected.item(), rel=1e-14)
