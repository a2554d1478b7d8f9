"""Paths of points over time: dots, lines and dashes that stay visible, legends that are never clipped."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from simlayer.plotting import trace_picture

TIMES = torch.linspace(0.0, 0.12, 13)


def paths(count, size=0.01):
    wave = size * torch.sin(40 * TIMES)[:, None, None]
    return wave * torch.ones(count, 3)


def picture(count=2, size=0.01, **options):
    observed = paths(count, size)
    simulated = {"first guess": 0.5 * observed, "found": observed.clone().requires_grad_()}
    return trace_picture(TIMES, observed, simulated, [f"marker {k}" for k in range(count)], **options)


def panels(figure):
    return [axes for axes in figure.axes if axes.get_title()]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_the_legend_is_inside_of_the_figure_and_names_every_kind_once(count):
    figure = picture(count)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["x", "y", "z", "observed", "first guess", "found"]
    box, canvas = legend.get_window_extent(), figure.bbox
    assert box.x0 >= 0
    assert box.x1 <= canvas.x1
    assert box.y0 >= 0
    assert box.y1 <= canvas.y1
    for axes in panels(figure):
        assert not box.overlaps(axes.get_tightbbox())


@pytest.mark.parametrize("count", [1, 3, 5, 8])
def test_every_panel_without_one_below_says_what_is_over_time_and_in_which_unit(count):
    figure = picture(count)
    drawn = panels(figure)
    assert [axes.get_title() for axes in drawn] == [f"marker {k}" for k in range(count)]
    assert drawn[0].get_ylabel() == "displacement [mm]"
    lowest = [axes for axes in drawn if axes.get_xlabel()]
    assert {axes.get_xlabel() for axes in lowest} == {"time [ms]"}
    columns = len({round(axes.get_position().x0, 3) for axes in drawn})
    assert len(lowest) == columns


@pytest.mark.parametrize(("size", "unit", "top"), [(0.02, "mm", 20), (2e-5, "µm", 20), (3.0, "m", 3)])
def test_displacements_are_in_a_unit_without_exponents(size, unit, top):
    figure = picture(1, size)
    axes = panels(figure)[0]
    assert axes.get_ylabel() == f"displacement [{unit}]"
    assert max(np.nanmax(line.get_ydata()) for line in axes.lines) == pytest.approx(top, rel=0.01)
    figure.draw_without_rendering()
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert not any("times" in label or "e-" in label for label in labels)
    assert not axes.yaxis.get_offset_text().get_text()


def test_dots_lie_below_lines_and_dashes_over_solid_lines_of_another_shade():
    dots, guess, found = panels(picture(1))[0].lines[:3]
    assert dots.get_marker() == "o"
    assert dots.get_linestyle() == "None"
    assert guess.get_linestyle() == "--"
    assert found.get_linestyle() == "-"
    assert dots.get_zorder() < found.get_zorder() < guess.get_zorder()
    assert sum(to_rgb(guess.get_color())) < sum(to_rgb(found.get_color()))
    assert dots.get_markersize() > found.get_linewidth()


def test_components_that_coincide_are_lines_of_different_widths():
    solid = [line for line in panels(picture(1))[0].lines if line.get_linestyle() == "-"]
    widths = [line.get_linewidth() for line in solid]
    assert len(widths) == 3
    assert widths == sorted(widths, reverse=True)
    assert len({line.get_color() for line in solid}) == 3


def test_bands_are_two_standard_errors_to_both_sides():
    error = torch.full((len(TIMES), 1, 3), 1e-3)
    figure = picture(1, errors={"found": error})
    axes = panels(figure)[0]
    assert len(axes.collections) == 3
    corners = axes.collections[0].get_paths()[0].vertices
    at = corners[np.isclose(corners[:, 0], 0.0)][:, 1]
    assert sorted(set(at.round(9))) == pytest.approx([-2.0, 0.0, 2.0]) or np.ptp(at) == pytest.approx(4.0)
    assert "± 2 standard errors" in {text.get_text() for text in figure.legends[0].get_texts()}
    with pytest.raises(ValueError, match="errors must be of first guess, found, got 'sought'"):
        picture(1, errors={"sought": error})


def test_gaps_stay_open_and_a_single_time_is_refused():
    observed = paths(1)
    observed[3:5] = torch.nan
    figure = trace_picture(TIMES, observed, {"found": paths(1)}, ["tip"])
    assert np.isnan(panels(figure)[0].lines[0].get_ydata()[3:5]).all()
    with pytest.raises(ValueError, match=r"times must be at least two, got .*; marker_picture draws one"):
        trace_picture(TIMES[:1], observed[:1], {"found": observed[:1]}, ["tip"])
