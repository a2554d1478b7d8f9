"""A field that was found, beside the truth in the same colours, and the error in others."""

import pytest
import torch

from simlayer import box_mesh
from simlayer.plotting import field_picture


def bars(figure):
    return [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]


def test_found_and_sought_have_one_scale_and_the_error_its_own():
    mesh = box_mesh(cells=(3, 2, 2))
    truth = torch.linspace(1e5, 2e5, len(mesh.cells))
    figure = field_picture(mesh, 1.1 * truth, truth, name="youngs_modulus", unit="Pa", fixed="x_min")
    panels = figure.axes[:6]
    assert [axes.get_title() for axes in panels[:3]] == ["found", "sought", "error, median 10 %"]
    assert {axes.get_title() for axes in panels[3:]} == {"behind a cut"}
    both, own = bars(figure)
    assert both.get_ylabel() == "youngs_modulus [kPa]"
    assert both.get_ylim() == pytest.approx((100.0, 220.0))
    assert own.get_ylabel() == "relative error [%]"
    assert own.get_ylim() == pytest.approx((0.0, 10.0), rel=1e-4)


def test_where_the_truth_has_a_zero_the_error_is_a_difference():
    mesh = box_mesh(cells=(3, 1, 1))
    truth = torch.zeros(len(mesh.vertices))
    figure = field_picture(mesh, truth + 2.0, truth, name="u", unit="m", over="vertices", cut=False)
    assert [axes.get_title() for axes in figure.axes[:3]] == ["found", "sought", "error"]
    assert bars(figure)[1].get_ylabel() == "error [m]"
    assert bars(figure)[1].get_ylim() == (0.0, 2.0)


def test_without_a_truth_the_field_is_drawn_alone_with_its_note():
    mesh = box_mesh(cells=(2, 1, 1))
    figure = field_picture(mesh, torch.ones(12), over="cells", note="nothing is known")
    assert len(figure.axes) == 3
    assert figure.get_supxlabel() == "nothing is known"


@pytest.mark.parametrize("shift", [0.0, torch.nan])
def test_a_field_without_differences_or_with_gaps_is_drawn(shift):
    mesh = box_mesh(cells=(3, 1, 1))
    truth = torch.ones(len(mesh.cells), requires_grad=True)
    found = torch.ones(len(mesh.cells)) + torch.tensor([shift] + [0.0] * (len(mesh.cells) - 1))
    figure = field_picture(mesh, found, truth, unit="Pa")
    figure.draw_without_rendering()
    low, high = bars(figure)[0].get_ylim()
    assert low < 1.0 < high


def test_all_panels_and_bars_are_inside_of_the_figure():
    mesh = box_mesh(cells=(6, 2, 2), size=(0.1, 0.02, 0.02))
    truth = torch.linspace(1e5, 2e5, len(mesh.cells))
    note = "\n".join(["100000 (1,080 values): median error 1.1 %, worst 110.0 %"] * 3)
    figure = field_picture(mesh, truth + 1e3, truth, name="youngs_modulus", unit="Pa", note=note)
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height
