"""Points on a body at one time: on the body, and component by component."""

import numpy as np
import pytest
import torch

from simlayer import box_mesh
from simlayer.plotting import body_view, marker_picture


def picture(size, names=("left", "right"), **options):
    mesh = box_mesh(cells=(4, 1, 1), size=(0.1, 0.03, 0.03))
    rest = mesh.vertices[-len(names) :]
    observed = torch.zeros(len(names), 3)
    observed[:, 2] = -size
    simulated = {"first guess": 2 * observed, "found": observed.clone().requires_grad_()}
    return mesh, rest, marker_picture(mesh, rest, observed, simulated, names, **options)


@pytest.mark.parametrize(
    ("size", "factor", "title"),
    [(0.02, 1, "displacements to scale"), (1e-4, 100, "displacements 100 times as large")],
)
def test_small_displacements_are_drawn_larger_by_a_factor_that_is_written(size, factor, title):
    mesh, rest, figure = picture(size, fixed="x_min")
    axes = figure.axes[0]
    assert axes.get_title() == f"the body at rest, {title}"
    rings = next(line for line in axes.lines if line.get_marker() == "o" and line.get_markersize() > 5)
    moved = rest.double().numpy() - factor * np.array([0.0, 0.0, size])
    assert np.stack(rings.get_data(), 1) == pytest.approx(body_view(mesh.vertices).project(moved))
    low, high = axes.viewLim.get_points()
    assert (np.stack(rings.get_data(), 1) > low).all()
    assert (np.stack(rings.get_data(), 1) < high).all()


def test_the_components_are_beside_each_other_in_millimetres():
    *_, figure = picture(0.02)
    axes = figure.axes[1]
    assert axes.get_ylabel() == "displacement [mm]"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["left", "right"]
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert [line.get_ydata().tolist() for line in crosses] == [[0, 0], [0, 0], [pytest.approx(-20.0)] * 2]


@pytest.mark.parametrize("count", [1, 2, 9])
def test_the_legend_is_inside_of_the_figure(count):
    *_, figure = picture(0.01, [f"marker {k}" for k in range(count)])
    figure.draw_without_rendering()
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["observed", "first guess", "found", "x", "y", "z"]
    box, canvas = legend.get_window_extent(), figure.bbox
    assert box.x0 >= 0
    assert box.x1 <= canvas.x1
    assert box.y0 >= 0


def test_points_that_were_not_seen_or_have_not_moved_are_no_obstacle():
    mesh = box_mesh(cells=(2, 1, 1))
    rest, nothing = mesh.vertices[:2], torch.zeros(2, 3)
    seen = torch.tensor([[0.0, 0.0, 0.0], [torch.nan] * 3])
    figure = marker_picture(mesh, rest, seen, {"found": nothing}, ["a", "b"])
    figure.draw_without_rendering()
    assert "to scale" in figure.axes[0].get_title()
