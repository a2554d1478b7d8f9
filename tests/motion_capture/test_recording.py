"""Recordings: what is read is what was written, and every broken file says what is wrong with it."""

import re
import sys

import pytest
import torch
from jaxtyping import TypeCheckError
from support.recordings import swinging, write_c3d, write_csv

from simlayer import ObservationError
from simlayer.motion_capture.reading import read_recording
from simlayer.motion_capture.recording import Recording


def with_gaps(coordinates=1):
    """A recording with two markers missing in a frame each, one of them in some coordinates only."""
    recording = swinging()
    recording.markers[4, 1] = torch.nan
    recording.markers[7, 2, coordinates] = torch.nan
    return Recording(recording.times, recording.markers, ("a", "b", "c", "d", "e"))


def assert_same(got, expected, *, rtol=1e-6):
    # Single precision, once for the numbers themselves and once for their unit.
    torch.testing.assert_close(got.markers, expected.markers, rtol=rtol, atol=0, equal_nan=True)
    torch.testing.assert_close(got.times, expected.times, rtol=1e-12, atol=1e-12)
    assert got.names == expected.names


@pytest.mark.parametrize(
    ("title", "scale"),
    [
        ("{name}_{axis}_m", 1.0),
        ("{name}_{axis}", 1.0),
        ("{name}_{axis}_mm", 1e3),
        ("{name} {axis} [cm]", 1e2),
        ("{name}.{axis}(MM)", 1e3),
        ("{name}:{axis}", 1.0),
    ],
)
@pytest.mark.parametrize("missing", ["", "nan", "NaN"])
def test_a_csv_file_is_read_as_it_was_written_in_whatever_unit_its_header_names(
    tmp_path, title, scale, missing
):
    path = write_csv(tmp_path / "take.csv", with_gaps(), title=title, scale=scale, missing=missing)
    got = read_recording(path)
    assert_same(got, with_gaps())
    assert not got.observed[4, 1]
    assert got.markers[7, 2].isnan().tolist() == [False, True, False]
    assert got.observed.sum() == got.observed.numel() - 1
    assert got.source == str(path)


@pytest.mark.parametrize("axes", ["xyz", "XYZ"])
@pytest.mark.parametrize(("time", "factor"), [("time_s", 1.0), ("Time (ms)", 1e-3), ("t", 1.0)])
def test_headers_may_be_in_capitals_and_times_in_ms(tmp_path, axes, time, factor):
    path = write_csv(tmp_path / "take.csv", with_gaps(), time=time)
    header, _, rest = path.read_text().partition("\n")
    for lower, other in zip("xyz", axes, strict=True):
        header = header.replace(f"_{lower}_", f"_{other}_")
    path.write_text("\ufeff" + header + "\n" + rest + "\n\n", encoding="utf-8")
    recording = with_gaps()
    assert_same(read_recording(path), Recording(recording.times * factor, recording.markers, recording.names))


def test_a_file_without_times_takes_them_from_its_frame_rate_and_counts_frames_without_markers(tmp_path):
    recording = with_gaps()
    recording.markers[3] = torch.nan
    path = write_csv(tmp_path / "take.csv", recording, time=None)
    assert_same(read_recording(path, frame_rate=100.0), recording)


@pytest.mark.parametrize(("delimiter", "mark"), [(";", "."), (";", ","), ("\t", "."), ("\t", ",")])
def test_a_table_may_be_separated_by_semicolons_or_tabs_and_have_decimal_commas(tmp_path, delimiter, mark):
    path = write_csv(tmp_path / "take.csv", with_gaps())
    header, _, rest = path.read_text().replace(",", delimiter).partition("\n")
    path.write_text(f"{header}\n{rest.replace('.', mark)}")
    assert_same(read_recording(path), with_gaps())


def test_decimal_commas_beside_decimal_points_are_refused_with_the_line(tmp_path):
    path = tmp_path / "take.csv"
    path.write_text("t;a_x;a_y;a_z\n0;0,5;1;2\n1;1.234,5;1;2\n")
    with pytest.raises(ObservationError, match=r"line 3, column 'a_x': must be a finite number.*'1\.234,5'"):
        read_recording(path)
    path.write_text("t;a_x;a_y;a_z\n0;0,5;1;2\n1;1;0.25;2\n")
    with pytest.raises(ObservationError, match=r"line 3, column 'a_y'.*, beside '0\.25' and '0,5'"):
        read_recording(path)


def test_a_table_without_one_coordinate_is_what_one_camera_sees(tmp_path):
    path = tmp_path / "take.csv"
    path.write_text("t,a_x_mm,a_z_mm,b_x_mm,b_z_mm\n0,1,2,3,4\n1,,,5,6\n")
    recording = read_recording(path)
    assert recording.markers.isnan()[:, :, 1].all()
    assert recording.observed.tolist() == [[True, True], [False, True]]
    torch.testing.assert_close(recording.markers[0, :, [0, 2]], torch.tensor([[1e-3, 2e-3], [3e-3, 4e-3]]))
    assert str(recording).endswith("0 to 1 s, 1 samples missing, 3 in part)")
    path.write_text("t,a_x,a_z,b_x,b_y\n0,1,2,3,4\n")
    with pytest.raises(ObservationError, match="marker 'a' has no column for y"):
        read_recording(path)


def test_a_unit_is_for_files_that_name_none_and_must_agree_with_those_that_do(tmp_path):
    recording = with_gaps()
    silent = write_csv(tmp_path / "silent.csv", recording, title="{name}_{axis}", scale=1e3)
    assert_same(read_recording(silent, unit="mm"), recording)
    outspoken = write_csv(tmp_path / "outspoken.csv", recording, title="{name}_{axis}_mm", scale=1e3)
    assert_same(read_recording(outspoken, unit="mm"), recording)
    with pytest.raises(ObservationError, match=r"states its positions in mm; unit='m' contradicts it"):
        read_recording(outspoken, unit="m")


def test_the_markers_that_are_asked_for_are_read_in_this_order_whatever_the_others_hold(tmp_path):
    recording = with_gaps()
    path = write_csv(tmp_path / "take.csv", recording)
    path.write_text(path.read_text().replace("b_z_m", "b_w_m").replace("time_s", "force_x_N,time_s", 1))
    text = path.read_text().splitlines()
    path.write_text("\n".join([text[0], *(f"heavy,{line}" for line in text[1:])]) + "\n")
    got = read_recording(path, markers=("d", "a"))
    assert_same(got, Recording(recording.times, recording.markers[:, [3, 0]], ("d", "a")))
    assert read_recording(path, markers="d").names == ("d",)


def spoiled(path, line, column, text):
    """The file with another text in one cell, counted from 0."""
    lines = [row.split(",") for row in path.read_text().splitlines()]
    lines[line][column] = text
    path.write_text("".join(",".join(row) + "\n" for row in lines))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ((3, 2, "abc"), "line 4, column 'a_y_m': must be a finite number, or empty where missing, got 'abc'"),
        ((3, 2, "inf"), "line 4, column 'a_y_m': must be a finite number, or empty where missing, got 'inf'"),
        ((3, 0, ""), "line 4, column 'time_s': the time is missing"),
        ((3, 0, "x"), "line 4, column 'time_s': must be a finite number"),
        ((3, 0, "0.01"), "times must increase, got 0.01 s in frame 2 after 0.01 s"),
        ((3, 0, "0.005"), "times must increase, got 0.005 s in frame 2"),
        ((3, 2, "1,2"), "line 4 must have 16 cells like the header, got 17"),
        ((0, 2, "a_w_m"), "marker 'a' has no column for y"),
        ((0, 2, "a_x_m"), "marker 'a' has two columns for x"),
        ((0, 2, "a_y_mm"), "coordinates must be in one unit, got columns 'e_z_m', 'a_y_mm'"),
        ((0, 2, "time"), "one column of times, got time_s, time"),
        ((0, 0, "frame"), "has no times: give frame_rate= [Hz]"),
    ],
)
def test_a_csv_file_with_a_fault_names_itself_the_line_and_the_column(tmp_path, spoil, message):
    path = write_csv(tmp_path / "take.csv", with_gaps())
    spoiled(path, *spoil)
    with pytest.raises(ObservationError, match=re.escape(message)) as caught:
        read_recording(path)
    assert "take.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "inch"}, "unit must be one of m, cm, mm, got 'inch'"),
        ({"frame_rate": 100.0}, "has times of its own; leave out frame_rate=100.0"),
        ({"markers": ("a", "z")}, "markers must be different names of a, b, c, d, e; got a, z"),
        ({"markers": ("a", "a")}, "markers must be different names of a, b, c, d, e; got a, a"),
        ({"markers": ()}, "got none"),
    ],
)
def test_options_that_do_not_fit_the_file_are_named(tmp_path, options, message):
    path = write_csv(tmp_path / "take.csv", with_gaps())
    with pytest.raises(ObservationError, match=re.escape(message)):
        read_recording(path, **options)


@pytest.mark.parametrize("rate", [0.0, -100.0, float("inf"), float("nan")])
def test_a_frame_rate_is_positive(tmp_path, rate):
    path = write_csv(tmp_path / "take.csv", with_gaps(), time=None)
    with pytest.raises(ObservationError, match="frame_rate must be positive and finite"):
        read_recording(path, frame_rate=rate)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.csv", None, "missing.csv does not exist"),
        ("empty.csv", b"", "is empty (0 bytes)"),
        ("blank.csv", b"\n\n", "is empty: it has no header"),
        ("picture.csv", b"\x89PNG\r\n\x1a\n", "could not be read as text"),
        ("other.csv", b"time_s,force_N\n0,1\n", "no columns of markers: NAME_x, NAME_y, NAME_z"),
        ("lone.csv", b"time_s,a_x\n0,1\n", "markers need columns for at least two of x, y and z"),
        ("bars.csv", b"time_s|x|y|z\n0|1|2|3\n", "or tabs; its header is 'time_s|x|y|z'"),
        ("furlongs.csv", b"t,a_x_fl,a_y_fl,a_z_fl\n0,1,2,3\n", "must be one of m, cm, mm, got 'fl'"),
        ("header.csv", b"time_s,a_x,a_y,a_z\n", "has no frames"),
        ("take.trc", b"hello\n", "could not be read as TRC: it must begin with five lines of header"),
        ("take.mp4", b"hello\n", "a recording must be one of .csv, .tsv, .txt, .c3d, .trc"),
    ],
)
def test_files_that_are_no_recordings_say_so(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ObservationError, match=re.escape(message)):
        read_recording(tmp_path / name)
    with pytest.raises(ObservationError, match="is a folder"):
        read_recording(tmp_path)


def test_a_marker_that_is_never_observed_is_named_and_may_be_left_out(tmp_path):
    recording = with_gaps()
    recording.markers[:, 2] = torch.nan
    path = write_csv(tmp_path / "take.csv", recording)
    with pytest.raises(ObservationError, match=r"no observation of c\. Leave them out: name the others"):
        read_recording(path)
    assert read_recording(path, markers=("a", "b")).names == ("a", "b")


def test_a_c3d_file_is_read_as_it_was_written(tmp_path):
    pytest.importorskip("c3d", reason="the extra simlayer[c3d] is not installed")
    recording = with_gaps(slice(3))  # C3D has no gaps in a single coordinate.
    for unit, scale in (("mm", 1e3), ("m", 1.0)):
        with pytest.warns(UserWarning, match="No analog data"):
            path = write_c3d(tmp_path / "take.c3d", recording, unit=unit, scale=scale)
        assert_same(read_recording(path), recording)
        picked = read_recording(path, markers=("d", "b"), unit=unit)
        assert_same(picked, Recording(picked.times, recording.markers[:, [3, 1]], ("d", "b")))
        with pytest.raises(ObservationError, match="contradicts it"):
            read_recording(path, unit="cm")


@pytest.mark.filterwarnings("ignore:No analog data")
def test_labels_name_markers_that_the_file_names_otherwise(tmp_path):
    pytest.importorskip("c3d", reason="the extra simlayer[c3d] is not installed")
    plain = swinging()
    labels = {f"marker{k}": f"Tip - {k + 1}" for k in range(5)}
    named = Recording(plain.times, plain.markers, tuple(labels.values()))
    wanted = ["marker3", "marker0"]
    for path in (
        write_c3d(tmp_path / "named.c3d", named),
        write_csv(tmp_path / "named.csv", named),
        write_csv(tmp_path / "plain.csv", plain),  # A marker goes by its own name, too.
    ):
        recording = read_recording(path, markers=wanted, labels=labels)
        assert recording.names == ("marker3", "marker0")
        torch.testing.assert_close(recording.markers, plain.markers[:, [3, 0]], atol=1e-6, rtol=0)
    assert read_recording(tmp_path / "named.csv", labels=labels).names == plain.names
    with pytest.raises(ObservationError, match=r"must be different names of Tip - 1, .*data\.labels"):
        read_recording(tmp_path / "named.csv", markers=wanted)
    with pytest.raises(ObservationError, match="different names"):
        read_recording(tmp_path / "named.csv", labels={"marker0": "Tip - 1", "Tip - 2": "Tip - 3"})


@pytest.mark.filterwarnings("ignore:No analog data")
def test_a_c3d_file_that_is_cut_short_anywhere_or_broken_is_refused(tmp_path):
    pytest.importorskip("c3d", reason="the extra simlayer[c3d] is not installed")
    content = write_c3d(tmp_path / "take.c3d", with_gaps()).read_bytes()
    filling = -40 * 5 * 16 % 512  # of the last block, after 40 frames of 5 markers
    read_recording(tmp_path / "take.c3d")
    for length in (10, 512, 700, 1024, len(content) // 2, len(content) - filling - 1):
        (tmp_path / "cut.c3d").write_bytes(content[:length])
        with pytest.raises(ObservationError, match=r"cut\.c3d could not be read as C3D"):
            read_recording(tmp_path / "cut.c3d")
    (tmp_path / "cut.c3d").write_bytes(b"hello " * 1000)
    with pytest.raises(ObservationError, match=r"cut\.c3d could not be read as C3D"):
        read_recording(tmp_path / "cut.c3d")


def test_without_the_package_a_c3d_file_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "c3d", None)
    (tmp_path / "take.c3d").write_bytes(b"any")
    with pytest.raises(ObservationError, match=re.escape("pip install 'simlayer[c3d]'")):
        read_recording(tmp_path / "take.c3d")


def test_a_window_holds_its_first_frame_and_not_its_last():
    recording = with_gaps()
    window = recording.window(5, 9)
    assert_same(window, Recording(recording.times[5:9], recording.markers[5:9], recording.names))
    assert_same(recording.between(0.045, 0.0851), window)
    assert_same(recording.between(float(recording.times[5]), float(recording.times[9])), window)


@pytest.mark.parametrize(("first", "last"), [(-1, 5), (5, 5), (6, 5), (0, 41)])
def test_a_window_outside_the_recording_is_refused(first, last):
    with pytest.raises(
        ObservationError, match=rf"0 <= first < last <= 40, got first={first} and last={last}"
    ):
        with_gaps().window(first, last)


def test_an_interval_without_frames_is_refused():
    with pytest.raises(
        ObservationError, match=r"no frame lies between start = 1 s and end = 2 s; .* between 0 and 0.39"
    ):
        with_gaps().between(1.0, 2.0)


@pytest.mark.parametrize(
    ("times", "markers", "names", "message"),
    [
        (torch.arange(0.0), torch.zeros(0, 2, 3), (), "times must hold at least one number, got shape (0,)"),
        (
            torch.arange(3.0),
            torch.zeros(3, 0, 3),
            (),
            "markers must hold at least one number",
        ),
        (
            torch.arange(3.0),
            torch.full((3, 2, 3), torch.inf),
            (),
            "markers must be finite, or NaN where missing",
        ),
        (torch.arange(3.0), torch.zeros(3, 2, 3), ("a", "a"), "2 markers need as many different names"),
        (torch.arange(3.0), torch.zeros(3, 2, 3), ("a",), "2 markers need as many different names"),
        (torch.tensor([0.0, torch.nan]), torch.zeros(2, 2, 3), (), "times must be finite"),
    ],
)
def test_a_recording_that_makes_no_sense_is_refused(times, markers, names, message):
    with pytest.raises(ObservationError, match=re.escape(message)):
        Recording(times, markers, names)


@pytest.mark.unchecked
@pytest.mark.parametrize("names", [(), [], {}])
def test_markers_without_names_are_numbered(names):
    assert Recording(torch.arange(2.0), torch.zeros(2, 2, 3), names).names == ("marker0", "marker1")


@pytest.mark.unchecked
def test_names_without_an_order_are_refused():
    with pytest.raises(TypeError, match=r"names must be in order, as in a list, got .*\(set\)"):
        Recording(torch.arange(2.0), torch.zeros(2, 2, 3), {"tip", "base"})


def test_shapes_that_do_not_fit_are_refused():
    # By the runtime shape checks first, where there are any.
    with pytest.raises((ObservationError, TypeCheckError)):
        Recording(torch.arange(3.0), torch.zeros(4, 2, 3))


def test_times_are_exact_to_the_microsecond_after_a_day(tmp_path):
    path = tmp_path / "take.csv"
    path.write_text("t,a_x,a_y,a_z\n86400.000001,1,2,3\n86400.000002,1,2,3\n")
    assert read_recording(path).times.diff().item() == pytest.approx(1e-6, rel=1e-4)


def test_what_is_printed():
    assert repr(with_gaps()) == (
        "Recording(recording: 5 markers in 40 frames, 0 to 0.39 s, 1 samples missing, 1 in part)"
    )


def test_a_csv_file_that_may_end_inside_its_last_number_is_warned_of(tmp_path):
    path = write_csv(tmp_path / "take.csv", with_gaps())
    path.write_text(path.read_text()[:-3])
    last = path.read_text().rpartition(",")[2]
    with pytest.warns(UserWarning, match=rf"take\.csv does not end with a line break.*'{last}'"):
        read_recording(path)
