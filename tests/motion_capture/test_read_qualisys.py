"""Exports of Qualisys Track Manager: with or without titles, frames and times; zeros are gaps."""

import re

import pytest
import torch
from support.exported_takes import qualisys
from support.recordings import gappy

from simlayer import ObservationError
from simlayer.motion_capture import read_recording


def read(tmp_path, text, **options):
    path = tmp_path / "take.tsv"
    path.write_text(text)
    return read_recording(path, **options)


def assert_read(got):
    # Written with six decimals of a millimetre.
    torch.testing.assert_close(got.markers, gappy().markers, rtol=1e-6, atol=1e-9, equal_nan=True)
    torch.testing.assert_close(got.times, gappy().times, rtol=0, atol=1e-9)
    assert got.names == gappy().names


@pytest.mark.parametrize("leading", [("Frame", "Time"), ("Frame",), ("Time",), ()])
@pytest.mark.parametrize("titled", [True, False])
@pytest.mark.parametrize("tail", ["", "\t"])
def test_markers_are_found_whatever_stands_before_and_after_them(tmp_path, leading, titled, tail):
    assert_read(read(tmp_path, qualisys(gappy(), leading=leading, titled=titled, tail=tail, missing="NULL")))


@pytest.mark.parametrize("missing", ["0", "0.000", "-0.000"])
def test_exact_zeros_are_gaps_and_are_counted(tmp_path, missing):
    with pytest.warns(UserWarning, match=r"3 samples at exactly \(0, 0, 0\) are taken as gaps: b 1, c 2\."):
        assert_read(read(tmp_path, qualisys(gappy(), missing=missing)))


def test_a_zero_in_one_coordinate_is_a_measurement(tmp_path):
    recording = gappy()
    recording.markers[2, 4, 0] = 0.0
    got = read(tmp_path, qualisys(recording, missing=""))
    assert got.markers[2, 4, 0] == 0.0


def test_decimal_commas_are_read(tmp_path):
    head, _, frames = qualisys(gappy(), missing="").partition("\nFrame")
    assert_read(read(tmp_path, f"{head}\nFrame{frames.replace('.', ',')}"))


def test_labels_and_markers_choose(tmp_path):
    got = read(tmp_path, qualisys(gappy(), missing=""), markers=["tip", "a"], labels={"tip": "d"})
    assert got.names == ("tip", "a")
    torch.testing.assert_close(got.markers, gappy().markers[:, [3, 0]], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"DATA_INCLUDED": "6D"}, "must be an export of 3D data with its header, MARKER_NAMES among"),
        ({"MARKER_NAMES": None}, "MARKER_NAMES among it, got DATA_INCLUDED 3D and NO_OF_FRAMES"),
        ({"NO_OF_FRAMES": 41}, "the header states NO_OF_FRAMES 41, but there are 40 lines of data"),
        ({"FREQUENCY": "fast", "leading": ()}, "FREQUENCY: must be a number, got 'fast'"),
        ({"FREQUENCY": 0, "leading": ()}, "FREQUENCY must be positive [Hz], got 0"),
        ({"FREQUENCY": None, "leading": ()}, "has no times: give frame_rate= [Hz]"),
        ({"MARKER_NAMES": "a\tb\tc\td"}, "must have at most 14 cells, three for each of 4 markers, got 17"),
        ({"MARKER_NAMES": "a\tb\ta\td\te"}, "has two markers named 'a'"),
        ({"MARKER_NAMES": ""}, "with its header, MARKER_NAMES among it"),
    ],
)
def test_a_file_with_a_fault_names_it_with_its_remedy(tmp_path, options, message):
    with pytest.raises(ObservationError, match=re.escape(message)):
        read(tmp_path, qualisys(gappy(), **options, missing=""))


def test_columns_that_could_be_either_are_not_guessed(tmp_path):
    recording = gappy()
    recording.markers[:, 4] = torch.nan
    text = qualisys(recording, leading=("Frame",), titled=False, missing="")
    with pytest.raises(ObservationError, match=r"the last marker, e, was never observed.*row of titles, too"):
        read(tmp_path, text)
