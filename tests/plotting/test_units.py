"""Numbers are shown in a multiple of their unit, without exponents."""

import math

import pytest

from simlayer.plotting.units import choose_unit, format_size, label, round_length


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (3e-5, "m", "µm"),
        (1e-4, "m", "mm"),
        (0.02, "m", "mm"),
        (0.999, "m", "mm"),
        (1.0, "m", "m"),
        (5e4, "m", "m"),
        (0.0, "m", "mm"),
        (2e5, "Pa", "kPa"),
        (2e11, "Pa", "GPa"),
        (0.02, "N m", "mN m"),
        (3.0, "Pa s", "Pa s"),
        (0.012, "s", "ms"),
        (1e3, "s", "s"),
        (1e5, "kg/m³", "kg/m³"),
        (1e-5, "m³", "m³"),
        (1e-5, "1", "1"),
        (1e5, "", ""),
        (0.5, "m/s", "mm/s"),
    ],
)
def test_a_unit_has_the_multiple_in_which_a_number_is_short(value, unit, shown):
    factor, name = choose_unit(value, unit)
    assert name == shown
    assert name == unit or not value or 0.09 <= value / factor < 1000


def test_a_number_that_is_not_finite_has_the_unit_itself():
    assert choose_unit(math.nan, "Pa") == (1.0, "Pa")
    assert choose_unit(math.inf, "kg") == (1.0, "kg")


def test_a_size_below_a_nanometre_is_called_so():
    assert format_size(5.4e-11, "m") == "less than 1 nm"
    assert format_size(0.0112, "m") == "11.2 mm"
    assert format_size(0.0, "m") == "0 mm"


def test_what_has_no_unit_has_no_brackets():
    assert label("nu", "1") == label("nu", "") == "nu"
    assert label("E", "kPa") == "E [kPa]"


@pytest.mark.parametrize("longest", [1e-7, 0.0199999999, 0.02, 0.049, 1.0, 7.3, 999.0])
def test_a_round_length_is_one_two_or_five_times_a_power_of_ten_and_at_most_half_too_short(longest):
    length = round_length(longest)
    assert longest * (1 + 1e-9) >= length > longest / 2.5 * (1 - 1e-9)
    digit = length / 10 ** math.floor(math.log10(length) + 1e-9)
    assert min(abs(digit - allowed) for allowed in (1, 2, 5)) < 1e-9
