"""The picture of a fitted law."""

import pytest
import torch
from support.treloar import treloar

from simlayer import Gent, MooneyRivlin
from simlayer.material_point import MaterialPoint, StressCurve, fit_curves, fit_picture

pytestmark = pytest.mark.usefixtures("float64")


def test_the_picture_has_a_panel_for_every_test_and_for_those_not_measured():
    fit = fit_curves(MooneyRivlin(2e5, 1e4, 1e9), treloar("planar"), "c10", incompressible=True)
    axes = fit_picture(fit).axes
    titles = [axis.get_title() for axis in axes]
    assert titles == ["planar", "uniaxial, not measured", "equibiaxial, not measured"]
    assert {text.get_text() for text in axes[0].get_legend().get_texts()} == {"measured", "law", "95 % band"}


def test_measured_points_are_drawn_without_the_offset_of_their_strain():
    stretch = torch.linspace(1.02, 1.6, 9)
    truth = MaterialPoint(Gent(1e5, 20.0, 1e9), incompressible=True)
    curve = StressCurve(stretch + 0.03, truth(stretch).stress.detach(), name="slack", fit_offset=True)
    axis = fit_picture(fit_curves(Gent(2e5, 30.0, 1e9), curve, incompressible=True)).axes[0]
    assert axis.lines[0].get_xdata()[0] == pytest.approx(1.02, abs=1e-4)
    assert "offset of 0.03" in axis.get_xlabel()
