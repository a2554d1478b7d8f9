"""The page of motions in a real browser."""

import itertools

import numpy as np
import pytest
from support.browser import CHROMIUM, Page
from support.motions import motion, run_folder

from simlayer.viewer import write_html

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, or Chrome, on the PATH")


def changed(before, after) -> float:
    """The share of pixels above the controls that differ."""
    return float((np.abs(before - after).max(-1) > 0.1)[:-110].mean())


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    run = run_folder(folder / "of a <b>run")
    with Page() as page:
        page.open(write_html(folder / "motion.html", run, motion("other")))
        yield page


@pytest.fixture(autouse=True)
def at_the_start(page):
    page.evaluate("page.seek(page.scene.start)")
    yield
    assert page.complaints == []
    assert [address for address in page.requests if not address.startswith("file:")] == []
    assert len(page.requests) == 1, "the page itself, and nothing else"


def choose(page, name, value):
    page.evaluate(f"byId('{name}').value = {value!r}; byId('{name}').dispatchEvent(new Event('change'))")
    page.evaluate("page.pending")


def test_the_slider_moves_the_body(page):
    before = page.picture()
    assert changed(before, page.picture()) == 0
    page.evaluate("byId('time').value = 1; byId('time').dispatchEvent(new Event('input')); page.pending")
    assert changed(before, page.picture()) > 0.005
    assert page.evaluate("byId('clock').textContent") == "0.5 s, frame 6 of 6"


def test_another_field_has_other_colours_and_another_bar(page):
    before = page.picture()
    title = page.evaluate("byId('bar-title').textContent")
    choose(page, "field", "von Mises stress [Pa]")
    assert changed(before, page.picture()) > 0.005
    assert page.evaluate("byId('bar-title').textContent") == "von Mises stress [kPa]"
    ticks = page.evaluate("[...byId('bar-ticks').children].map((tick) => tick.textContent)")
    assert ticks == ["10", "15", "20"]
    choose(page, "field", "")
    assert page.evaluate("byId('bar').hidden")
    choose(page, "field", "displacement [m]")
    assert changed(before, page.picture()) == 0
    assert page.evaluate("byId('bar-title').textContent") == title == "displacement [mm]"


def test_a_motion_plays_to_its_end_and_begins_again(page):
    choose(page, "speed", "1")
    seen = page.evaluate(
        """new Promise((go) => {
            const times = [];
            byId("play").click();
            const look = () => {
                times.push(page.time);
                const again = times.some((time, k) => k && time < times[k - 1]);
                if (times.length < 4000 && !again) return setTimeout(look, 5);
                byId("play").click();
                go(times);
            };
            look();
        })"""
    )
    assert max(seen) > 0.1
    assert any(after < before for before, after in itertools.pairwise(seen))
    assert not page.evaluate("page.playing")


def test_runs_lie_side_by_side_or_in_one_place(page):
    before = page.picture()
    offsets = page.evaluate("page.bodies.map((body) => body.offset)")
    # Along y, in which the body is thinner than along x: the two do not meet.
    assert offsets[0][0] == offsets[1][0] == 0
    assert offsets[1][1] - offsets[0][1] > 0.1
    choose(page, "layout", "over")
    assert page.evaluate("page.bodies.map((body) => body.offset)") == [[0, 0, 0]] * 2
    # Else the first one could be hidden by the other.
    assert page.evaluate("page.bodies.map((body) => body.mesh.opacity)") == [1, 0.5]
    assert changed(before, page.picture()) > 0.005
    choose(page, "layout", "side")
    assert changed(before, page.picture()) < 0.001


def test_points_are_shown_where_they_were_observed_and_can_be_hidden(page):
    before = page.picture()
    page.evaluate("byId('points').click(); page.pending")
    assert 0 < changed(before, page.picture()) < 0.02
    page.evaluate("byId('points').click(); page.pending")
    assert changed(before, page.picture()) < 0.001
    page.evaluate("page.seek(0.3)")
    marks = page.evaluate("[...page.bodies[0].marks[0].points.positions.data]")
    # The first was not observed then: it is drawn where the other one is.
    shift = page.evaluate("page.bodies[0].offset")
    assert np.array(marks).reshape(2, 3) - shift == pytest.approx(np.array([[0.4, 0.1, 0.2]] * 2), abs=1e-6)


def test_the_arrow_keys_go_from_frame_to_frame(page):
    page.evaluate("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}))")
    assert page.evaluate("page.pending; page.time") == pytest.approx(0.1)
    page.evaluate("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft'}))")
    assert page.evaluate("page.time") == 0


def test_positions_between_two_frames_are_on_the_way(page):
    halfway = "page.bodies[0].move(0.05); [...page.bodies[0].vertices]"
    before, after, between = (
        np.array(page.evaluate(halfway.replace("0.05", str(time)))) for time in (0.0, 0.1, 0.05)
    )
    # 32-bit floats of up to half a metre.
    assert between == pytest.approx((before + after) / 2, abs=1e-7)


def test_dragging_turns_the_body_and_a_button_turns_it_back(page):
    before = page.picture()
    mouse = {"x": 200, "y": 200, "button": "left", "buttons": 1, "clickCount": 1}
    page.send("Input.dispatchMouseEvent", type="mousePressed", **mouse)
    page.send("Input.dispatchMouseEvent", type="mouseMoved", **{**mouse, "x": 300})
    page.send("Input.dispatchMouseEvent", type="mouseReleased", **{**mouse, "x": 300})
    assert changed(before, page.picture()) > 0.01
    page.evaluate("byId('reset').click(); page.pending")
    assert changed(before, page.picture()) < 0.001


def test_a_grid_is_drawn_around_the_body(page):
    before = page.picture()
    page.evaluate("byId('grid').click(); page.pending")
    assert changed(before, page.picture()) > 0.005
    page.evaluate("byId('grid').click(); page.pending")
    assert changed(before, page.picture()) < 0.001


def test_names_are_shown_as_they_are(page):
    assert page.evaluate("byId('legend').innerText").split("\n")[0] == "of a <b>run"
    assert page.evaluate("document.title") == "of a <b>run, other"
    assert page.evaluate("[...document.querySelectorAll('#canvas b')].length") == 0
