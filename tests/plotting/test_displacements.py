"""Displacement fields at points."""

import numpy as np
import pytest
import torch

from simlayer.plotting import displacement_picture


def test_measured_and_fitted_have_one_scale_and_missing_components_count_nowhere():
    points = torch.rand(20, 3) * torch.tensor([0.1, 0.001, 0.05])
    measured = torch.zeros(20, 3)
    measured[:, 0], measured[:, 1] = 3e-5, torch.nan
    fitted = measured.nan_to_num() + torch.tensor([1e-6, 5.0, 0.0])
    figure = displacement_picture(points, measured, fitted, title="plate")
    first, second, third = figure.axes[:3]
    assert (first.get_xlabel(), first.get_ylabel()) == ("x [mm]", "z [mm]")
    assert [axes.get_title() for axes in (first, second, third)] == [
        "measured, up to 30 µm",
        "fitted, up to 31 µm",
        "residual, up to 1 µm",
    ]
    assert [axes.get_ylabel() for axes in figure.axes[3:]] == [
        "displacement [µm]",
        "size of the residual [µm]",
    ]
    assert figure.axes[3].get_ylim() == pytest.approx((0.0, 31.0))
    assert figure.get_suptitle() == "plate"
    places = first.collections[0].get_offsets()
    assert np.asarray(places) == pytest.approx(1e3 * points[:, [0, 2]].double().numpy())


def test_a_point_of_which_nothing_was_measured_is_grey():
    measured = torch.tensor([[1e-3, 0.0, 0.0], [torch.nan] * 3])
    figure = displacement_picture(torch.eye(3)[:2], measured, torch.zeros(2, 3))
    colors = figure.axes[0].collections[0].get_facecolors()
    # The colour map's own for what is missing is transparent.
    assert colors[0, 3] == 1.0
    assert colors[1, 3] == 0.0 or len(set(colors[1, :3])) == 1
