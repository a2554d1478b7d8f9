"""Exports of Motive: measured markers are read, what was made of them is not."""

import re

import pytest
import torch
from support.exported_takes import motive
from support.recordings import gappy

from simlayer import ObservationError
from simlayer.motion_capture import read_recording


def read(tmp_path, text, **options):
    path = tmp_path / "take.csv"
    path.write_text(text)
    return read_recording(path, **options)


@pytest.mark.parametrize("rotation", ["Quaternion", "XYZ"])
@pytest.mark.parametrize(("unit", "scale"), [("Meters", 1.0), ("Millimeters", 1e3), ("Centimeters", 1e2)])
def test_measured_markers_are_read_beside_a_rigid_body_in_the_unit_of_the_header(
    tmp_path, rotation, unit, scale
):
    expected = gappy()
    got = read(tmp_path, motive(expected, rotation=rotation, unit=unit, scale=scale))
    assert got.names == expected.names
    # Written with six decimals of the unit.
    torch.testing.assert_close(got.markers, expected.markers, rtol=1e-6, atol=1e-6 / scale, equal_nan=True)
    torch.testing.assert_close(got.times, expected.times, rtol=0, atol=1e-9)


def test_decimal_commas_come_with_semicolons(tmp_path):
    head, _, frames = motive(gappy(), delimiter=";").partition("\nFrame")
    got = read(tmp_path, f"{head}\nFrame{frames.replace('.', ',')}")
    torch.testing.assert_close(got.markers, gappy().markers, rtol=1e-6, atol=1e-6, equal_nan=True)


def test_without_a_column_of_times_these_follow_from_the_export_rate(tmp_path):
    got = read(tmp_path, motive(gappy()).replace("Time (Seconds)", "Timecode"))
    torch.testing.assert_close(got.times, gappy().times, rtol=0, atol=1e-9)
    torch.testing.assert_close(got.markers, gappy().markers, rtol=1e-6, atol=1e-6, equal_nan=True)


def test_labels_and_markers_choose_among_the_measured_ones(tmp_path):
    got = read(tmp_path, motive(gappy()), markers=["tip", "a"], labels={"tip": "d"})
    assert got.names == ("tip", "a")
    torch.testing.assert_close(got.markers, gappy().markers[:, [3, 0]], rtol=1e-6, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",Marker", ",Bone", "no positions of the type Marker, only Rigid Body, Rigid Body Marker, Bone"),
        (",Type,", ",Kind,", "its header has no row of Type. Export it with the header information"),
        ("\nFrame,", "\nIndex,", "its header has no row of Frame"),
        ("Meters", "Feet", "unit must be one of m, cm, mm, got 'feet'"),
        (",c,c,c,", ",a,a,a,", "has two markers named 'a'; rename one of them"),
        ("\n3,0.030000,0.9", "\n3,,0.9", "line 11, column 'Time (Seconds)': the time is missing"),
        ("\n3,0.030000,0.9", "\n3,0.030000,0.9,0.9", "line 11 must have at most 33 cells, like the header"),
    ],
)
def test_a_file_with_a_fault_names_it_with_its_remedy(tmp_path, old, new, message):
    text = motive(gappy())
    assert old in text
    with pytest.raises(ObservationError, match=re.escape(message)) as caught:
        read(tmp_path, text.replace(old, new))
    assert "take.csv" in str(caught.value)


def test_a_cell_that_is_no_number_is_named_with_line_and_marker(tmp_path):
    lines = motive(gappy()).splitlines(keepends=True)
    lines[9] = lines[9].rpartition(",")[0] + ",n/a\n"
    with pytest.raises(ObservationError, match=r"line 10, column 'e Z': must be a finite number.*'n/a'"):
        read(tmp_path, "".join(lines))
