"""TRC files: as they come from several programs, and broken ones."""

import re

import pytest
import torch
from support.exported_takes import three, trc
from support.recordings import gappy

from simlayer import ObservationError
from simlayer.motion_capture import read_recording


def read(tmp_path, text, **options):
    path = tmp_path / "take.trc"
    path.write_text(text)
    return read_recording(path, **options)


@pytest.mark.parametrize("blank", [True, False])
@pytest.mark.parametrize("tail", [True, False])
@pytest.mark.parametrize("missing", ["", "NaN", "0.0"])
@pytest.mark.filterwarnings("ignore:.*3 samples at exactly")
def test_markers_are_read_with_or_without_a_blank_line_and_tabs_at_the_end(tmp_path, blank, tail, missing):
    got = read(tmp_path, trc(gappy(), blank=blank, tail=tail, missing=missing))
    # Written with six decimals of a millimetre.
    torch.testing.assert_close(got.markers, gappy().markers, rtol=1e-6, atol=1e-9, equal_nan=True)
    torch.testing.assert_close(got.times, gappy().times, rtol=0, atol=1e-9)
    assert got.names == gappy().names


def test_names_may_stand_in_one_cell_each(tmp_path):
    names = gappy().names
    text = trc(gappy()).replace("\t".join(three(names)), "\t".join(names))
    assert read(tmp_path, text).names == names


def test_the_unit_is_that_of_the_header(tmp_path):
    got = read(tmp_path, trc(gappy(), Units="m"))
    torch.testing.assert_close(got.markers, 1e3 * gappy().markers, rtol=1e-6, atol=1e-6, equal_nan=True)
    with pytest.raises(ObservationError, match="states its positions in m; unit='mm' contradicts it"):
        read(tmp_path, trc(gappy(), Units="m"), unit="mm")


def test_labels_and_markers_choose(tmp_path):
    got = read(tmp_path, trc(gappy()), markers=["tip", "a"], labels={"tip": "d"})
    torch.testing.assert_close(got.markers, gappy().markers[:, [3, 0]], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"NumFrames": 60}, "line 3 states 60 NumFrames, but there are lines of 40"),
        ({"NumMarkers": 6}, "line 3 states 6 NumMarkers, but line 4 names 5"),
        ({"Units": ""}, "lines 2 and 3 must state Units"),
        ({"Units": "inches"}, "unit must be one of m, cm, mm, got 'inches'"),
    ],
)
def test_a_header_that_contradicts_the_data_is_refused(tmp_path, options, message):
    with pytest.raises(ObservationError, match=re.escape(message)):
        read(tmp_path, trc(gappy(), **options))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Frame#\tTime", "Frame\tSeconds", "line 4 must have Frame#, Time and the names of the markers"),
        ("\n4\t0.03000\t", "\n4\t\t", "line 10, column 'Time': the time is missing"),
        ("\n4\t0.03000\t", "\n4\t0.03000\tx", "line 10, column 'a X': must be a finite number"),
        ("\n4\t0.03000\t", "\n4\t0.03000\t1\t", "line 10 must have at most 17 cells, Frame#, Time and"),
    ],
)
def test_a_line_with_a_fault_is_named(tmp_path, old, new, message):
    text = trc(gappy())
    assert old in text
    with pytest.raises(ObservationError, match=re.escape(message)):
        read(tmp_path, text.replace(old, new))
