"""Numbers over time, in multiples of their units, with legends that cover no curve."""

import torch

from simlayer.plotting import series_picture

TIMES = torch.linspace(0.0, 0.02, 5)


def test_each_panel_has_its_unit_and_a_legend_beside_it_inside_of_the_figure():
    energies = {"kinetic": 0.01 * TIMES, "elastic": -0.01 * TIMES, "sum": 0 * TIMES}
    forces = {axis: 1e4 * TIMES.double().requires_grad_() for axis in "xyz"}
    figure = series_picture(TIMES, {"energies": ("energy", "J", energies), "grip": ("force", "N", forces)})
    figure.draw_without_rendering()
    left, right = figure.axes
    assert (left.get_title(), left.get_ylabel(), left.get_xlabel()) == (
        "energies",
        "energy [µJ]",
        "time [ms]",
    )
    assert right.get_ylabel() == "force [N]"
    for axes in figure.axes:
        box = axes.get_legend().get_window_extent()
        assert box.x0 >= axes.bbox.x1
        assert box.x1 <= figure.bbox.x1
        assert box.y0 >= 0
        assert box.y1 <= figure.bbox.y1
    total = left.lines[-1]
    assert total.get_linestyle() == "--"
    assert total.get_color() == "black"


def test_what_is_zero_throughout_is_drawn_in_the_unit_itself():
    axes = series_picture(TIMES, {"nothing": ("force", "N", {"x": 0 * TIMES})}).axes[0]
    assert axes.get_ylabel() == "force [N]"
