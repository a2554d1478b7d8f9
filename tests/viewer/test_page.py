"""The page of motions: the arrays are in it, and nothing has to be fetched."""

import html.parser
import importlib.util
import re

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from support.motions import FRAMES, MESH, motion, run_folder, scene_of, unpacked

from simlayer.viewer import MotionError, view, write_html
from simlayer.viewer.page import page_of


def test_the_vertices_are_in_the_page_to_16_bits_of_their_extent():
    shown = motion()
    scene, content = scene_of(page_of([shown]))
    described = scene["motions"][0]
    codes = unpacked(content, described["positions"], shown.positions.shape, 2)
    positions = np.array(described["low"]) + codes * np.array(described["scale"])
    extent = np.ptp(shown.positions, axis=(0, 1))
    # Rounded to the nearest of 65536 steps, and by the last bit of a double in either direction.
    assert (np.abs(positions - shown.positions) <= extent / 65535 / 2 * (1 + 1e-9)).all()
    triangles = np.frombuffer(content, "<u4", 3 * described["triangles"], described["faces"]).reshape(-1, 3)
    assert np.array_equal(triangles, shown.triangles)
    assert described["times"] == shown.times.tolist()


def test_fields_are_in_the_page_to_8_bits_of_their_range_over_all_motions():
    first = motion("first")
    stress = torch.linspace(0.0, 4e4, len(MESH.vertices)).repeat(FRAMES, 1)
    second = motion("second", vertex_fields={"von Mises stress [Pa]": stress})
    scene, content = scene_of(page_of([first, second]))
    name = "von Mises stress [Pa]"
    low, high = scene["fields"][name]
    assert (low, high) == (0.0, 4e4)
    for described, shown in zip(scene["motions"], (first, second), strict=True):
        codes = unpacked(content, described["fields"][name], shown.fields[name].shape, 1)
        error = np.abs(low + codes / 255 * (high - low) - shown.fields[name])
        assert error.max() <= (high - low) / 255 / 2 * (1 + 1e-9)


def test_points_are_in_the_page_with_their_gaps():
    shown = motion()
    scene, content = scene_of(page_of([shown]))
    points = scene["motions"][0]["points"][0]
    found = np.frombuffer(content, "<f4", 3 * len(points["times"]) * points["count"], points["positions"])
    expected = shown.points["observed"].markers.numpy()
    assert np.array_equal(found.reshape(expected.shape), expected, equal_nan=True)
    assert np.isnan(found).sum() == 3


class Elements(html.parser.HTMLParser):
    """The elements of a page, and the addresses that they refer to."""

    def __init__(self, page):
        super().__init__()
        self.names, self.addresses = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.addresses += [value for key, value in attrs if key in ("src", "href")]


def test_a_page_refers_to_no_other_file():
    elements = Elements(page_of([motion()]))
    assert elements.addresses == ["data:,"]


def test_a_name_cannot_end_the_element_that_it_is_in():
    plain, odd = page_of([motion("bent")]), page_of([motion("</script><img src=x>&lt;")])
    assert Elements(plain).names == Elements(odd).names
    assert scene_of(odd)[0]["motions"][0]["name"] == "</script><img src=x>&lt;"


def test_a_page_holds_the_licences_of_what_draws_it():
    notice = re.search('id="notice">(.*?)</script>', page_of([motion()]), re.DOTALL)[1]
    assert "K3D" in notice
    assert "Three.js Authors" in notice
    assert "Permission is hereby granted, free of charge" in notice


def test_a_page_of_a_run_and_of_a_motion_is_written_where_it_is_wanted(tmp_path):
    path = write_html(tmp_path / "new" / "motion.html", run_folder(tmp_path / "run"), motion(), overlaid=True)
    scene, _ = scene_of(path.read_text(encoding="utf-8"))
    assert [described["name"] for described in scene["motions"]] == ["run", "bent"]
    assert scene["overlaid"] is True


def test_view_opens_the_page_in_the_browser(monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    path = view(motion())
    assert opened == [path.as_uri()]
    assert scene_of(path.read_text(encoding="utf-8"))[0]["motions"][0]["name"] == "bent"


def test_without_the_extra_the_command_that_installs_it_is_said(monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "k3d" else find(name))
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'simlayer\[viewer\]'"):
        write_html(tmp_path / "motion.html", motion())


def test_what_cannot_be_a_page_is_refused(tmp_path):
    with pytest.raises(MotionError, match="at least one motion"):
        write_html(tmp_path / "motion.html")
    with pytest.raises(MotionError, match=r"is a folder; name the file in it, such as .*motion\.html"):
        write_html(tmp_path, motion())
    # A run with runtime checks of types refuses the number before our own message can.
    expected = r"motions\[1\] must be the folder of a run or a motion|Type-check error"
    with pytest.raises((TypeError, TypeCheckError), match=expected):
        write_html(tmp_path / "motion.html", motion(), 3)
    assert not list(tmp_path.iterdir())


def test_a_page_can_be_logged_to_wandb_without_an_account(tmp_path):
    import wandb

    page = write_html(tmp_path / "motion.html", motion())
    with wandb.init(mode="offline", dir=tmp_path, settings=wandb.Settings(silent=True)) as run:
        run.log({"motion": wandb.Html(str(page), inject=False)})
    logged = list(tmp_path.glob("wandb/offline-run-*/files/media/html/motion*.html"))
    assert [path.read_bytes() for path in logged] == [page.read_bytes()]
