"""Movies of a motion."""

import sys

import pytest
import torch
from simlayer.app.plots import body_picture, field_picture

from simlayer import box_mesh
from simlayer.app.movie import write_movie


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
def test_a_movie_and_pictures_draw_every_element(tmp_path, element):
    mesh = box_mesh(cells=(2, 1, 1), element=element)
    write_movie(tmp_path / "motion.mp4", mesh, motion(mesh))
    assert (tmp_path / "motion.mp4").read_bytes()[4:8] == b"ftyp"
    field = 1 + torch.rand(len(mesh.cells))
    field_picture(tmp_path / "field.png", mesh, {"E": field}, label="Pa", errors={"error": field - 1})
    assert (tmp_path / "field.png").stat().st_size > 10_000
    figure = body_picture({"found": 1.1 * mesh.vertices}, mesh.vertices, mesh.boundary)
    # Those that face the viewer: half of a box.
    drawn = figure.axes[0].collections[0].get_paths()
    assert len(drawn) == len(mesh.boundary) // 2


def test_without_the_extra_there_is_no_movie_and_no_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    mesh = box_mesh(cells=(1, 1, 1))
    write_movie(tmp_path / "motion.mp4", mesh, motion(mesh))
    assert not list(tmp_path.iterdir())
