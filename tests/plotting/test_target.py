"""Bodies over the shape that they should have."""

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection, PolyCollection

from simlayer import box_mesh
from simlayer.plotting import body_view, target_picture


def picture(shift=0.01, **options):
    mesh = box_mesh(cells=(4, 1, 1), size=(0.1, 0.03, 0.03))
    target = 1.2 * mesh.vertices
    bodies = {"first guess": mesh.vertices, "found": target + torch.tensor([0.0, 0.0, shift])}
    return mesh, target, target_picture(mesh, bodies, target, **options)


def test_the_titles_say_how_far_each_body_is_from_the_target():
    mesh, target, figure = picture(shift=1e-12)
    furthest = 1e3 * float((target - mesh.vertices).norm(dim=1).max())
    first, found = (axes.get_title() for axes in figure.axes[:2])
    assert first == f"first guess: up to {furthest:.3g} mm from the target"
    assert found == "found: less than 1 nm from the target" or found == "found: up to 0 mm from the target"


def test_both_bodies_have_the_same_colours_and_limits():
    *_, figure = picture()
    first, found, bar = figure.axes
    assert first.get_xlim() == found.get_xlim()
    assert first.get_ylim() == found.get_ylim()
    assert bar.get_ylabel() == "distance from the target [mm]"
    (drawn,) = (each for each in found.collections if isinstance(each, PolyCollection))
    colors = drawn.get_facecolors()
    hue = colors[colors[:, 3] == 1][:, :3]
    # The same distance everywhere: one colour, up to its shade.
    assert np.ptp(hue[:, 1] / hue[:, 0]) < 1e-6


def test_the_outline_of_the_target_is_drawn_over_each_body():
    mesh, target, figure = picture()
    places = body_view(mesh.vertices).project(target.double().numpy())
    for axes in figure.axes[:2]:
        outline = [each for each in axes.collections if isinstance(each, LineCollection)][-1]
        points = np.concatenate(outline.get_segments())
        assert points.min(0) == pytest.approx(places.min(0))
        assert points.max(0) == pytest.approx(places.max(0))
        body = next(each for each in axes.collections if isinstance(each, PolyCollection))
        assert outline.get_zorder() > body.get_zorder()


def test_where_the_target_is_missing_there_is_no_distance():
    mesh = box_mesh(cells=(4, 1, 1))
    target = mesh.vertices.clone()
    target[:4] = torch.nan
    far = mesh.vertices + torch.tensor([0.0, 0.0, 0.3])
    figure = target_picture(mesh, {"found": far}, target, fixed="x_min")
    figure.draw_without_rendering()
    assert figure.axes[0].get_title() == "found: up to 300 mm from the target"


def test_the_legend_is_inside_of_the_figure():
    *_, figure = picture(fixed="x_min")
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert {text.get_text() for text in legend.get_texts()} == {"target", "rest shape"}
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert box.y0 >= 0


def test_no_bodies_are_refused():
    mesh = box_mesh(cells=(1, 1, 1))
    with pytest.raises(ValueError, match="bodies must hold at least one"):
        target_picture(mesh, {}, mesh.vertices)
