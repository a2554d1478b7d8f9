"""Exports of Vicon Nexus: the trajectories, among other blocks."""

import re

import pytest
import torch
from support.exported_takes import vicon
from support.recordings import gappy

from simlayer import ObservationError
from simlayer.motion_capture import read_recording


def read(tmp_path, text, **options):
    path = tmp_path / "take.csv"
    path.write_text(text)
    return read_recording(path, **options)


def assert_read(got):
    # Written with six decimals of a millimetre.
    torch.testing.assert_close(got.markers, gappy().markers, rtol=1e-6, atol=1e-9, equal_nan=True)
    torch.testing.assert_close(got.times, gappy().times, rtol=0, atol=1e-9)
    assert got.names == tuple(f"Beam:{name}" for name in gappy().names)


@pytest.mark.parametrize("velocities", [False, True])
@pytest.mark.parametrize("unit", ["mm", "m"])
def test_trajectories_are_read_between_devices_and_model_outputs(tmp_path, velocities, unit):
    got = read(tmp_path, vicon(gappy(), velocities=velocities, unit=unit))
    if unit == "m":
        torch.testing.assert_close(got.markers, 1e3 * gappy().markers, rtol=1e-6, atol=1e-6, equal_nan=True)
    else:
        assert_read(got)


def test_the_trajectories_may_come_first_and_blank_lines_may_hold_delimiters(tmp_path):
    text = vicon(gappy())
    text = text[text.index("Trajectories") :]
    assert_read(read(tmp_path, text))
    filled = text.replace("\n\n", "\n,,,,\n").replace("Trajectories\n100", "Trajectories,,\n100,,")
    assert_read(read(tmp_path, filled))


def test_decimal_commas_come_with_semicolons(tmp_path):
    assert_read(read(tmp_path, vicon(gappy(), delimiter=";").replace(".", ",")))


def test_cells_that_are_missing_at_the_end_of_a_line_are_gaps(tmp_path):
    recording = gappy()
    recording.markers[39, 4] = torch.nan
    text = vicon(recording).replace(",,,\n\nModel", "\n\nModel")
    assert not read(tmp_path, text).observed[39, 4]


def test_a_frame_that_is_left_out_leaves_its_time_out(tmp_path):
    text = vicon(gappy())
    start = text.rindex("\n10,0,")
    got = read(tmp_path, text[:start] + text[text.index("\n", start + 1) :])
    assert got.times[:7].tolist() == pytest.approx([0, 0.01, 0.02, 0.03, 0.04, 0.06, 0.07])


def test_labels_give_names_without_the_subject(tmp_path):
    got = read(tmp_path, vicon(gappy()), markers=["tip"], labels={"tip": "Beam:d"})
    torch.testing.assert_close(got.markers, gappy().markers[:, [3]], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Trajectories", "Joints", "has no block Trajectories with its rate, names, titles and units"),
        ("Frame,Sub Frame,X", "Number,Sub Frame,X", "must have Frame, Sub Frame, and X, Y, Z below the name"),
        ("\n100\n,,Beam:a", "\nHz\n,,Beam:a", "the rate of Trajectories: must be a number, got 'Hz'"),
        ("\n100\n,,Beam:a", "\n0\n,,Beam:a", "the frame rate in its header must be positive [Hz], got 0"),
        (",mm,mm,mm\n", ",mm,mm,m\n", "coordinates must be in one unit, got m, mm"),
        ("Beam:c", "Beam:a", "has two markers named 'Beam:a'"),
        ("\n7,0,", "\n7,0,0,0,0,0,0,0,0,", "cells, like the titles, got"),
    ],
)
def test_a_file_with_a_fault_names_it_with_its_remedy(tmp_path, old, new, message):
    text = vicon(gappy())
    assert old in text
    with pytest.raises(ObservationError, match=re.escape(message)):
        read(tmp_path, text.replace(old, new))
