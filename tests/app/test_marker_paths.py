"""Paths of markers: those of a twin at its frames, and those recorded, in the body's frame."""

import re

import pytest
import torch
from support.materials import rotations
from support.recordings import POINTS, REFERENCE, swinging, write_csv

from simlayer import ObservationError, box_mesh
from simlayer.app.marker_paths import MarkerPaths
from simlayer.motion_capture.recording import Recording

pytestmark = pytest.mark.usefixtures("float64")
# The names of markers are those that a recording gives by itself.
STANDOFFS = {"marker0": [0.0, 0.0, 0.006], "marker1": [0.0, -0.006, 0.0], "marker2": [0.0, 0.006, 0.0]}
FIVE = {f"marker{k}": place for k, place in enumerate(REFERENCE.tolist())}


def mesh():
    return box_mesh(cells=(3, 1, 1), size=(0.1, 0.03, 0.03), origin=(-0.1, 0.0, 0.0))


def tensor(points):
    return torch.tensor(list(points.values()))


def filmed(path, *, frames=40):
    """The swinging markers as turned and moved cameras see them, in a CSV file in mm."""
    recording = swinging(frames)
    moved = recording.markers @ rotations().T + torch.tensor([0.3, -0.2, 1.0])
    names = recording.names
    return write_csv(path, Recording(recording.times, moved, names), title="{name}_{axis}_mm", scale=1e3)


# A twin.


def test_a_twin_is_observed_at_whole_frames_after_its_release_up_to_the_end():
    data = MarkerPaths(points=POINTS, frame_rate=100.0)
    torch.testing.assert_close(data.times(lambda: 0.055, 0.0), torch.tensor([0.01, 0.02, 0.03, 0.04, 0.05]))
    # The last frame is not lost where 0.07 * 100 is rounded to less than 7 (or to more).
    for count in range(1, 200):
        assert len(data.times(lambda count=count: count / 100.0, 0.0)) == count


def test_a_twin_that_ends_before_its_first_frame_is_refused():
    with pytest.raises(ObservationError, match=r"at 100.0 Hz there is no frame within duration = 0.009 s"):
        MarkerPaths(points=POINTS, frame_rate=100.0).times(lambda: 0.009, 0.0)


def test_at_rest_markers_are_observed_on_their_stand_offs():
    data = MarkerPaths(points=POINTS, standoffs=STANDOFFS, frame_rate=100.0)
    body = mesh()
    torch.testing.assert_close(
        data.sensors(body)(body.vertices), tensor(POINTS) + tensor(STANDOFFS), rtol=0, atol=1e-15
    )


def test_the_order_of_stand_offs_does_not_matter():
    turned = dict(reversed(STANDOFFS.items()))
    body = mesh()
    observed = [
        MarkerPaths(points=POINTS, standoffs=s, frame_rate=1.0).sensors(body)(body.vertices)
        for s in (STANDOFFS, turned)
    ]
    torch.testing.assert_close(observed[0], observed[1], rtol=0, atol=1e-15)


# A recording.


def test_a_settled_body_is_observed_once_by_the_mean_of_its_window_at_the_end(tmp_path):
    path = write_csv(tmp_path / "take.csv", swinging())
    names = list(POINTS)
    data = MarkerPaths(path=str(path), points=POINTS, window=[12, 30], settled=True)
    chosen = [swinging().names.index(name) for name in names]
    expected = swinging().markers[12:30][:, chosen].mean(0)
    torch.testing.assert_close(data.recorded(mesh()), expected[None], rtol=0, atol=1e-15)
    assert data.times(lambda: 2.0, 0.5).tolist() == [2.5]
    twin = MarkerPaths(points=POINTS, settled=True)
    assert twin.times(lambda: 2.0, 0.5).tolist() == [2.5]


def test_the_named_markers_are_read_in_their_order_from_the_window(tmp_path):
    path = write_csv(tmp_path / "take.csv", swinging())
    names = ["marker2", "marker0"]
    data = MarkerPaths(path=str(path), points={name: POINTS[name] for name in names}, window=[12, 30])
    expected = swinging()
    torch.testing.assert_close(data.recorded(mesh()), expected.markers[12:30][:, [2, 0]], rtol=0, atol=1e-15)
    torch.testing.assert_close(data.times(lambda: 0.01, 0.0), expected.times[12:30], rtol=0, atol=1e-15)


def test_a_recording_without_times_has_a_frame_rate_and_one_without_a_unit_that_of_the_configuration(
    tmp_path,
):
    path = write_csv(tmp_path / "take.csv", swinging(), title="{name}_{axis}", time=None, scale=1e2)
    data = MarkerPaths(path=str(path), points=POINTS, frame_rate=100.0, unit="cm")
    torch.testing.assert_close(data.recorded(mesh()), swinging().markers[:, :3], rtol=0, atol=1e-15)
    torch.testing.assert_close(data.times(lambda: 1.0, 0.0), swinging().times, rtol=0, atol=1e-15)


def test_registered_markers_start_where_the_simulated_ones_do_and_move_as_they_did(tmp_path, capsys):
    path = filmed(tmp_path / "take.csv")
    data = MarkerPaths(
        path=str(path), points=POINTS, standoffs=STANDOFFS, registration={"reference": FIVE, "held": [0, 10]}
    )
    observed, body = data.recorded(mesh()), mesh()
    start = data.sensors(body)(body.vertices)
    # The reference is 30 mm from where the simulated markers are; what is left is rounding of files in mm.
    assert (start - REFERENCE[:3]).norm(dim=1).min() > 0.02
    torch.testing.assert_close(observed[:10], start.expand(10, 3, 3), rtol=0, atol=1e-12)
    motion = swinging().markers[:, :3] - swinging().markers[0, :3]
    torch.testing.assert_close(observed - start, motion, rtol=0, atol=1e-12)
    assert "Registered: 0.00 mm rms between 5 markers" in capsys.readouterr().out


def test_the_frames_held_are_those_of_the_whole_recording(tmp_path):
    path = filmed(tmp_path / "take.csv")
    options = {"path": str(path), "points": POINTS, "registration": {"reference": FIVE, "held": [0, 10]}}
    whole = MarkerPaths(**options).recorded(mesh())
    assert torch.equal(MarkerPaths(**options, window=[10, 40]).recorded(mesh()), whole[10:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": {}}, "data.points must name at least one marker"),
        ({"points": {"a": [0, 0]}, "frame_rate": 1.0}, "marker 'a' must have three coordinates, got [0, 0]"),
        ({"points": POINTS}, "data.frame_rate [Hz] must be given for a twin, got None"),
        ({"points": POINTS, "frame_rate": -1.0}, "must be given for a twin, got -1.0"),
        (
            {"points": POINTS, "standoffs": {"marker0": [0, 0, 0]}, "frame_rate": 1.0},
            "must name the same markers as data.points, ['marker0', 'marker1', 'marker2'], got ['marker0']",
        ),
    ],
)
def test_markers_that_cannot_be_say_why(options, message):
    with pytest.raises(ObservationError, match=re.escape(message)):
        MarkerPaths(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": {"tip": [0, 0, 0]}}, "markers must be different names of marker0, marker1"),
        (
            {"points": POINTS, "registration": {"reference": {"tip": [0, 0, 0]}, "held": [0, 10]}},
            "must have a position for 'marker0'",
        ),
        ({"points": POINTS, "window": [10, 50]}, "first < last <= 40, got first=10 and last=50"),
        ({"points": POINTS, "frame_rate": 100.0}, "has times of its own; leave out frame_rate=100.0"),
        (
            {
                "points": {"marker0": POINTS["marker0"]},
                "registration": {"reference": dict(list(FIVE.items())[:2]), "held": [0, 10]},
            },
            "needs at least 3 markers",
        ),
    ],
)
def test_a_recording_that_does_not_fit_says_why(tmp_path, options, message):
    path = write_csv(tmp_path / "take.csv", swinging())
    with pytest.raises(ObservationError, match=re.escape(message)):
        MarkerPaths(path=str(path), **options).recorded(mesh())
