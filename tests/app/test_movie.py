"""Movies of a motion."""

import sys

import pytest
import torch

from simlayer import box_mesh
from simlayer.app.movie import write_motion, write_movie


def motion(mesh, frames=3):
    """The body as it grows by a tenth."""
    return mesh.vertices * torch.linspace(1, 1.1, frames)[:, None, None]


def test_a_movie_is_an_mp4_with_every_frame(tmp_path):
    mesh = box_mesh(cells=(1, 1, 1))
    write_movie(tmp_path / "motion.mp4", mesh, motion(mesh))
    content = (tmp_path / "motion.mp4").read_bytes()
    assert content[4:8] == b"ftyp"
    # The table of samples: version and flags, a size that differs between them, and their number.
    sizes = content[content.index(b"stsz") + 4 :]
    assert int.from_bytes(sizes[8:12], "big") == 3


@pytest.mark.parametrize("element", ["tet10", "hex8", "hex20"])
def test_a_movie_draws_every_element(tmp_path, element):
    mesh = box_mesh(cells=(2, 1, 1), element=element)
    write_movie(tmp_path / "motion.mp4", mesh, motion(mesh))
    assert (tmp_path / "motion.mp4").read_bytes()[4:8] == b"ftyp"


def test_a_motion_is_a_picture_too_unless_it_is_a_state_of_rest(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    mesh = box_mesh(cells=(1, 1, 1))
    write_motion(tmp_path, mesh, motion(mesh, frames=2), torch.arange(2.0), fixed="x_min")
    assert not list(tmp_path.iterdir())
    write_motion(tmp_path, mesh, motion(mesh), torch.arange(3.0), fixed="x_min")
    assert [path.name for path in tmp_path.iterdir()] == ["motion.png"]


def test_without_the_extra_there_is_no_movie_and_no_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    mesh = box_mesh(cells=(1, 1, 1))
    write_movie(tmp_path / "motion.mp4", mesh, motion(mesh))
    assert not list(tmp_path.iterdir())
