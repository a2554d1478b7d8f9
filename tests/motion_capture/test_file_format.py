"""The format of a recording is recognized by its contents, whatever the name of the file."""

import pytest
from support.exported_takes import motive, qualisys, trc, vicon
from support.recordings import gappy, write_c3d, write_csv

from simlayer.motion_capture.file_format import reader_of
from simlayer.motion_capture.read_c3d import read_c3d
from simlayer.motion_capture.read_csv import read_csv
from simlayer.motion_capture.read_motive import read_motive
from simlayer.motion_capture.read_qualisys import read_qualisys
from simlayer.motion_capture.read_trc import read_trc
from simlayer.motion_capture.read_vicon import read_vicon


@pytest.mark.parametrize("name", ["take.csv", "take.tsv", "take.txt", "take", "take.c3d"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("write", "reader"),
    [(motive, read_motive), (qualisys, read_qualisys), (vicon, read_vicon), (trc, read_trc)],
)
def test_text_of_a_system_is_known_by_its_first_lines(tmp_path, write, reader, name, encoding, ending):
    path = tmp_path / name
    path.write_bytes(write(gappy()).replace("\n", ending).encode(encoding))
    assert reader_of(path) is reader


def test_c3d_is_known_by_its_header(tmp_path):
    pytest.importorskip("c3d", reason="the extra simlayer[c3d] is not installed")
    with pytest.warns(UserWarning, match="No analog data"):
        assert reader_of(write_c3d(tmp_path / "take.csv", gappy())) is read_c3d


@pytest.mark.parametrize("title", ["aP_x", "Trajectories_x", "FREQUENCY_x"])
def test_a_table_is_read_as_one_whatever_its_markers_are_called(tmp_path, title):
    path = write_csv(tmp_path / "take.csv", gappy())
    path.write_text(path.read_text().replace("time_s,a_x_m", f"{title},time_s,a_x_m"))
    assert reader_of(path) is read_csv


def test_other_files_have_no_reader(tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x20ftypisom")
    assert reader_of(tmp_path / "film.mp4") is None
