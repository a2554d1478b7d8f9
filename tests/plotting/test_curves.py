"""Curves of tests: measured points, the fitted line with its band, and what is left."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from simlayer.plotting import curve_picture, draw_fitted, draw_measured, law_curves_picture

X = torch.linspace(0.0, 30.0, 7)


def test_the_residual_is_measured_minus_fitted_in_the_unit_of_the_values():
    measured = 0.01 * X
    measured[2] = torch.nan
    figure = curve_picture(
        X, measured, measured + 0.001, amount=("angle", "degree"), value=("torque", "N m"), title="twist"
    )
    upper, lower = figure.axes
    assert upper.get_title() == "twist"
    assert upper.get_ylabel() == "torque [mN m]"
    assert lower.get_ylabel() == "residual [mN m]"
    assert lower.get_xlabel() == "angle [degree]"
    left = lower.lines[1].get_ydata()
    assert np.isnan(left[2])
    assert np.delete(left, 2) == pytest.approx([-1.0] * 6, rel=1e-4)


def test_measured_points_lie_below_the_line_and_the_band_below_both():
    axes = Figure().subplots()
    draw_measured(axes, X, X)
    draw_fitted(axes, X, X, error=torch.ones(7))
    dots, line = axes.lines
    (band,) = axes.collections
    assert band.get_zorder() < dots.get_zorder() < line.get_zorder()
    assert [each.get_label() for each in (dots, line, band)] == ["measured", "fitted", "95 % band"]


def test_the_band_holds_95_percent_and_is_wide_where_nothing_is_known():
    error = torch.tensor([0.5, torch.nan, torch.inf, 0.5, 0.5, 0.5, 0.5], requires_grad=True)
    axes = Figure().subplots()
    draw_fitted(axes, X, 10 + 0 * X, error=error)
    corners = axes.collections[0].get_paths()[0].vertices
    heights = [np.ptp(corners[np.isclose(corners[:, 0], x), 1]) for x in X[:3].tolist()]
    assert heights == pytest.approx([2 * 1.96 * 0.5, 40.0, 40.0])


def test_laws_that_coincide_are_both_seen():
    stresses = {"learned": 1e5 * X, "true": 1e5 * X}
    figure = law_curves_picture({"uniaxial": ("stretch", X, stresses), "shear": ("shear", X, stresses)})
    for axes in figure.axes:
        under, over = axes.lines
        assert over.get_linestyle() == "--"
        assert under.get_linestyle() == "-"
        assert over.get_color() != under.get_color()
        assert axes.get_ylabel() == "nominal stress [MPa]"
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
