"""Pictures of what networks have learned."""

import pytest
import torch

from simlayer.plotting import prediction_picture, reach_picture, travel_picture

TIMES = torch.linspace(0.0, 1.0, 4)


def test_the_ways_of_a_point_end_at_the_crosses_of_its_goals():
    goals = torch.tensor([[0.01, 0.0, 0.02], [0.0, 0.03, 0.0]], requires_grad=True)
    ways = TIMES[:, None, None] * goals
    figure = reach_picture(TIMES, ways, goals)
    side, end, right = figure.axes
    assert (side.get_xlabel(), side.get_ylabel(), end.get_xlabel()) == ("x [mm]", "z [mm]", "y [mm]")
    assert right.get_ylabel() == "distance from the goal [mm]"
    crosses = [
        line.get_xydata()[0] for line in side.lines if line.get_marker() == "x" and len(line.get_xdata())
    ]
    assert crosses[0] == pytest.approx([10.0, 20.0], rel=1e-6)
    assert right.lines[0].get_ydata()[-1] == pytest.approx(0.0, abs=1e-9)
    figure.draw_without_rendering()
    assert figure.legends[0].get_window_extent().x1 <= figure.bbox.x1


def test_the_best_gait_is_in_colour_over_the_others():
    ways = TIMES[:, None] * torch.tensor([0.1, 0.3, 0.2])
    axes = travel_picture(TIMES, ways, 1).axes[0]
    assert axes.get_ylabel() == "way [mm]"
    assert axes.lines[-1].get_ydata()[-1] == pytest.approx(300.0)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["the others", "the best gait"]
    with pytest.raises(ValueError, match="best must be an int, at least 0 and at most 2"):
        travel_picture(TIMES, ways, 3)


def test_predictions_lie_over_the_truth_on_logarithmic_scales_where_they_span_decades():
    truth = {"E": torch.tensor([1e4, 1e6]), "nu": torch.tensor([0.3, 0.4])}
    errors = {name: 0.1 * values for name, values in truth.items()}
    figure = prediction_picture(truth, truth, errors, units={"E": "Pa", "nu": "1"})
    modulus, ratio = figure.axes
    assert (modulus.get_xscale(), ratio.get_xscale()) == ("log", "linear")
    assert (modulus.get_title(), modulus.get_ylabel()) == ("E", "predicted [MPa]")
    assert (ratio.get_xlabel(), ratio.get_ylabel()) == ("true", "predicted")
    figure.draw_without_rendering()
    assert figure.legends[0].get_window_extent().x0 >= 0
