"""Registration: a rigid motion is found as it was made, and what cannot be registered says why."""

import re

import pytest
import torch
from support.materials import rotations
from support.recordings import REFERENCE, swinging

from simlayer import ObservationError
from simlayer.motion_capture.recording import Recording
from simlayer.motion_capture.registration import register

pytestmark = pytest.mark.usefixtures("float64")
HELD = (0, 10)


def filmed(recording, *, noise=0.0):
    """The recording as cameras that are turned and moved see it, and their rotation and translation."""
    R, t = rotations(), torch.randn(3)
    observed = recording.markers @ R.T + t
    observed = observed + noise * torch.randn_like(observed)
    return Recording(recording.times, observed, recording.names, "take"), R, t


def reference():
    return REFERENCE.double()


def test_a_rigid_motion_is_undone_to_rounding():
    for _ in range(20):
        recording, R, t = filmed(swinging())
        found = register(recording, reference(), held=HELD)
        # Rounding of positions of order one, over markers 0.1 m apart; the reference was written in float32.
        torch.testing.assert_close(found.rotation, R.T, rtol=0, atol=1e-12)
        torch.testing.assert_close(found.translation, -R.T @ t, rtol=0, atol=1e-12)
        torch.testing.assert_close(found.in_frame(recording).markers, swinging().markers, rtol=0, atol=1e-12)
        assert found.rms < 1e-12
        assert found.stillness < 1e-12


def test_the_rotation_is_proper_even_where_a_reflection_fits_better():
    recording, _, _ = filmed(swinging())
    mirrored = reference() * torch.tensor([1.0, -1.0, 1.0])
    found = register(recording, mirrored, held=HELD)
    assert torch.linalg.det(found.rotation).item() == pytest.approx(1, abs=1e-12)
    assert found.rms > 0.005


def test_three_markers_in_a_plane_are_enough():
    recording, R, _ = filmed(swinging())
    three = Recording(recording.times, recording.markers[:, :3])
    found = register(three, reference()[:3], held=HELD)
    torch.testing.assert_close(found.rotation, R.T, rtol=0, atol=1e-11)


def test_no_small_turn_or_shift_brings_the_markers_closer():
    recording, _, _ = filmed(swinging())
    target = reference() + 1e-3 * torch.randn(5, 3)
    found = register(recording, target, held=HELD)
    means = recording.markers[:10].mean(0)
    assert found.residuals.norm().item() == pytest.approx(found.rms * 5**0.5)
    for _ in range(50):
        w, shift = 1e-3 * torch.randn(3), 1e-4 * torch.randn(3)
        turn = torch.linalg.matrix_exp(torch.linalg.cross(torch.eye(3), w.expand(3, 3)))
        other = means @ (turn @ found.rotation).T + found.translation + shift
        assert (other - target).norm() > found.residuals.norm()


def test_displacements_are_kept_where_markers_were_not_placed_as_the_reference_says():
    recording, R, _ = filmed(swinging())
    target = reference() + 1e-3 * torch.randn(5, 3)
    found = register(recording, target, held=HELD)
    observed = found.in_frame(recording).markers
    torch.testing.assert_close(observed[:10].mean(0), target, rtol=0, atol=1e-12)
    expected = (swinging().markers - swinging().markers[0]) @ R.T @ found.rotation.T
    torch.testing.assert_close(observed - target, expected, rtol=0, atol=1e-12)


def test_noise_leaves_residuals_of_its_size_over_the_root_of_the_frames_and_stillness_of_its_size():
    recording, R, _ = filmed(swinging(), noise=1e-4)
    found = register(recording, reference(), held=HELD)
    # 0.1 mm in each coordinate, averaged over 10 frames; of 15 numbers 6 are fitted: 0.042 mm expected.
    assert 2e-5 < found.rms < 7e-5
    # The largest of 50 distances in three dimensions; 0.6 mm would be six standard deviations.
    assert 2e-4 < found.stillness < 6e-4
    # 0.03 mm over 0.05 m.
    torch.testing.assert_close(found.rotation, R.T, rtol=0, atol=3e-3)


def test_missing_samples_are_left_out_of_the_means():
    recording, R, _ = filmed(swinging())
    recording.markers[2:5, 0] = torch.nan
    recording.markers[7, 3] = torch.nan
    found = register(recording, reference(), held=HELD)
    torch.testing.assert_close(found.rotation, R.T, rtol=0, atol=1e-12)
    assert found.rms < 1e-12
    observed = found.in_frame(recording)
    assert torch.equal(observed.observed, recording.observed)


def test_a_marker_that_was_not_observed_while_held_has_no_displacement():
    recording, R, _ = filmed(swinging())
    recording.markers[:10, 1] = torch.nan
    with pytest.warns(UserWarning, match="take: not observed while held, so without displacement: marker1"):
        found = register(recording, reference(), held=HELD)
    torch.testing.assert_close(found.rotation, R.T, rtol=0, atol=1e-12)
    assert found.rms < 1e-12
    assert found.residuals.isnan().tolist() == [False, True, False, False, False]
    assert found.in_frame(recording).observed.any(0).tolist() == [True, False, True, True, True]


def without(*markers):
    recording, _, _ = filmed(swinging())
    recording.markers[:10, list(markers)] = torch.nan
    return recording


def line(points):
    return torch.linspace(0, 1, len(points))[:, None] * torch.tensor([0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("recording", "target", "held", "message"),
    [
        (
            without(0, 1, 2),
            reference(),
            HELD,
            "at least 3 markers observed while held, got 2 of 5; not observed: marker0,",
        ),
        (
            without(),
            line(REFERENCE),
            HELD,
            "the reference positions of the 5 markers observed in frames (0, 10) lie on",
        ),
        (without(), reference()[:4], HELD, "of shape (5, 3); got shape (4, 3)"),
        (without(), reference() * torch.nan, HELD, "must be finite positions of its 5 markers"),
        (without(), reference(), (0, 41), "0 <= first < last <= 40"),
        (without(), reference(), (10, 10), "got first=10 and last=10"),
    ],
)
def test_what_cannot_be_registered_says_why(recording, target, held, message):
    with pytest.raises(ObservationError, match=re.escape(message)):
        register(recording, target.double(), held=held)


def test_recorded_markers_on_a_line_are_refused_though_noise_moves_them_off_it():
    markers = line(REFERENCE).expand(40, 5, 3) + 1e-5 * torch.randn(40, 5, 3)
    recording = Recording(torch.arange(40.0), markers)
    with pytest.raises(ObservationError, match=r"the recorded positions of the 5 markers .* lie on a line"):
        register(recording, reference(), held=HELD)


def test_a_recording_of_other_markers_is_refused():
    recording, _, _ = filmed(swinging())
    found = register(recording, reference(), held=HELD)
    other = Recording(recording.times, recording.markers, ("a", "b", "c", "d", "e"))
    with pytest.raises(ObservationError, match=r"must be those registered, marker0, .*; got a, b, c, d, e"):
        found.in_frame(other)
