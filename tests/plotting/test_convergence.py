"""The loss and the quantities over the epochs."""

import pytest

from simlayer.plotting import convergence_picture


def test_quantities_are_in_multiples_of_their_units_beside_what_is_sought():
    values = {"youngs_modulus": [3e5, 1e5], "nu": [0.3, 0.4]}
    figure = convergence_picture([1.0, 1e-9], values, {"youngs_modulus": 1e5}, units={"youngs_modulus": "Pa"})
    loss, modulus, ratio = figure.axes
    assert loss.get_yscale() == "log"
    assert [axes.get_title() for axes in figure.axes] == ["loss", "youngs_modulus [kPa]", "nu"]
    assert {axes.get_xlabel() for axes in figure.axes} == {"epoch"}
    found, sought = modulus.lines
    assert found.get_ydata().tolist() == [300.0, 100.0]
    assert sought.get_ydata()[0] == 100.0
    # It stays visible where the last values lie on it.
    assert sought.get_zorder() > found.get_zorder()
    assert len(ratio.lines) == 1


def test_a_loss_that_is_not_positive_is_on_a_linear_scale_and_many_quantities_are_in_rows():
    figure = convergence_picture([1.0, -1.0], {f"q{k}": [0.0, float("nan")] for k in range(6)})
    assert figure.axes[0].get_yscale() == "linear"
    assert figure.get_size_inches()[0] < 15
    assert len([axes for axes in figure.axes if axes.get_title()]) == 7


def test_as_many_values_as_losses_are_needed():
    with pytest.raises(ValueError, match=r"values\['E'\] must be of shape \(2,\)"):
        convergence_picture([1.0, 0.5], {"E": [1.0]})
