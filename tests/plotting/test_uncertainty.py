"""The ellipses of a fit's uncertainty."""

import numpy as np
import pytest
import torch

from simlayer.plotting import uncertainty_picture
from simlayer.plotting.uncertainty import RADII


def picture(values=(2e5, 0.4), sigma=(1e4, 0.02), correlation=0.8, **options):
    a, b = sigma
    covariance = [[a * a, correlation * a * b], [correlation * a * b, b * b]]
    covariance = torch.tensor(covariance, dtype=torch.float64)
    found = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    return uncertainty_picture(["E", "nu"], found, covariance, units=["Pa", "1"], **options)


def test_the_ellipses_hold_the_shares_of_a_normal_distribution_that_they_name():
    figure = picture()
    axes = figure.axes[2]
    drawn = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert len(drawn) == len(RADII)
    draws = np.random.default_rng(0).multivariate_normal([200, 0.4], [[100, 0.16], [0.16, 4e-4]], 20_000)
    inverse = np.linalg.inv([[100, 0.16], [0.16, 4e-4]])
    for line, share in zip(drawn, (0.68, 0.95), strict=True):
        points = line.get_xydata() - np.array([200, 0.4])
        radii = np.einsum("ki,ij,kj->k", points, inverse, points)
        assert radii == pytest.approx([radii[0]] * len(radii), rel=1e-5)
        offsets = draws - np.array([200, 0.4])
        inside = np.einsum("ki,ij,kj->k", offsets, inverse, offsets) < radii[0]
        # Of 20,000 draws the share is known to 0.4 %.
        assert inside.mean() == pytest.approx(share, abs=0.012)


def test_labels_have_units_and_what_is_known_is_dashed():
    figure = picture(reference=[2.1e5, None])
    assert figure.axes[2].get_xlabel() == "E [kPa]"
    assert figure.axes[2].get_ylabel() == figure.axes[3].get_xlabel() == "nu"
    dashed = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert dashed[0].get_xdata()[0] == pytest.approx(210.0)
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["68 %", "95 %", "sought"]


def test_what_is_known_closely_is_a_difference_from_the_truth_without_long_numbers():
    figure = picture(values=(100000.0002, 0.4 + 5e-9), sigma=(1e-4, 2e-9), reference=[1e5, 0.4])
    axes = figure.axes[2]
    assert axes.get_xlabel() == "E\nless 100 kPa [µPa]"
    assert axes.get_ylabel() == "nu\nless 0.4 [$10^{-9}$]"
    cross = next(line for line in axes.lines if line.get_marker() == "+")
    assert cross.get_xydata()[0] == pytest.approx([200.0, 5.0], rel=1e-3)
    figure.draw_without_rendering()
    for axis in (axes.xaxis, axes.yaxis):
        assert not axis.get_offset_text().get_text()
        assert all(len(label.get_text()) < 25 for label in axis.get_ticklabels())


def test_a_variance_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="covariance must have a positive diagonal"):
        uncertainty_picture(["a"], torch.ones(1), torch.zeros(1, 1))
