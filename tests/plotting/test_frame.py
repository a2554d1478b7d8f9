"""Pictures in space have equal scales, the axes of space, and a bar of a round length."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from simlayer.plotting import angle_view
from simlayer.plotting.frame import frame_points, trim_height

VIEW = angle_view(-60, 30)


def framed(points, figure=None):
    axes = (figure or Figure(figsize=(6, 4))).subplots()
    frame_points(axes, VIEW, points)
    axes.figure.draw_without_rendering()
    return axes


def bar_of(axes):
    return next(line for line in axes.lines if line.get_gid() == "scale bar")


def arrows_of(axes):
    return [text for text in axes.texts if getattr(text, "arrow_patch", None) is not None]


@pytest.mark.parametrize(("size", "text"), [(0.1, "20 mm"), (2.0, "0.5 m"), (3e-5, "5 µm"), (40.0, "10 m")])
def test_the_bar_is_as_long_as_it_says(size, text):
    points = size * np.array([[0.0, 0.0, 0.0], [1.0, 0.3, 0.2]])
    axes = framed(points)
    assert text in {each.get_text() for each in axes.texts}
    number, unit = text.split()
    length = float(number) * {"mm": 1e-3, "m": 1.0, "µm": 1e-6}[unit]
    bar = bar_of(axes)
    on_paper = np.ptp(bar.get_transform().transform(bar.get_xydata())[:, 0])
    # A length across the view, on the same paper.
    ends = axes.transData.transform(VIEW.project(np.stack([0 * VIEW.right, length * VIEW.right])))
    assert on_paper == pytest.approx(np.ptp(ends[:, 0]), rel=1e-9)
    assert on_paper < 0.5 * axes.bbox.width


def test_lengths_across_and_upwards_are_equal_on_paper():
    axes = framed(np.array([[0.0, 0.0, 0.0], [1.0, 0.3, 0.2]]))
    origin, across, up = axes.transData.transform([(0.0, 0.0), (0.1, 0.0), (0.0, 0.1)])
    assert across[0] - origin[0] == pytest.approx(up[1] - origin[1])


def test_all_points_are_inside_and_the_marks_are_below_them():
    points = np.random.default_rng(0).random((50, 3))
    points[3] = np.nan
    axes = framed(points)
    places = VIEW.project(points[np.isfinite(points).all(1)])
    low, high = axes.viewLim.get_points()
    assert (places > low).all()
    assert (places < high).all()
    assert bar_of(axes).get_ydata()[0] < places[:, 1].min()
    texts = [text for text in axes.texts if text.get_text()]
    assert {text.get_text() for text in texts} > {"x", "y", "z"}
    for text in texts:
        box = text.get_window_extent()
        assert axes.bbox.padded(1).containsx(box.x0)
        assert axes.bbox.padded(1).containsx(box.x1)
        assert axes.bbox.padded(1).containsy(box.y0)
        assert axes.bbox.padded(1).containsy(box.y1)


def test_the_arrows_point_along_the_axes_of_space():
    axes = framed(np.eye(3))
    arrows = arrows_of(axes)
    assert len(arrows) == 3
    for arrow, direction in zip(arrows, np.eye(3), strict=True):
        # The arrow ends at what is annotated, and starts at its (empty) text.
        way, wanted = np.subtract(arrow.xy, arrow.xyann), VIEW.project(direction)
        assert way @ wanted == pytest.approx(np.linalg.norm(way) * np.linalg.norm(wanted))


def test_an_axis_along_the_view_is_a_dot():
    axes = Figure().subplots()
    frame_points(axes, angle_view(-90, 0), np.eye(3))
    assert len(arrows_of(axes)) == 2
    assert any(line.get_marker() == "o" for line in axes.lines)


def test_rows_of_pictures_have_one_scale_and_fill_the_width_of_the_figure():
    figure = Figure(figsize=(8, 3), layout="constrained")
    rows = figure.subplots(2, 2)
    for k, axes in enumerate(rows.flat):
        frame_points(axes, VIEW, np.array([[0.0, 0.0, 0.0], [1.0, 0.1, 0.1 * k]]), marks=k == 2)
    trim_height(figure, rows.tolist())
    figure.draw_without_rendering()
    scales = [axes.transData.transform([(0.0, 0.0), (1.0, 0.0)]) for axes in rows.flat]
    widths = [b[0] - a[0] for a, b in scales]
    assert widths == pytest.approx([widths[0]] * 4, rel=1e-6)
    assert sum(axes.bbox.width for axes in rows[0]) > 0.9 * figure.bbox.width
    assert rows[0, 0].bbox.y1 == pytest.approx(rows[0, 1].bbox.y1)
