"""Measured values are printed with two digits of their error."""

import pytest

from simlayer.identification.measured_values import format_measured


@pytest.mark.parametrize(
    ("value", "error", "unit", "text"),
    [
        (280700.0, 1300.0, "Pa", "280.7 ± 1.3 kPa"),
        (1e5, 1e-6, "Pa", "100 kPa"),
        (0.4, 0.013, "1", "0.400 ± 0.013"),
        (0.645, 3e-4, "s", "645.00 ± 0.30 ms"),
        (1e5, 9.96e3, "Pa", "100 ± 10 kPa"),
        (999.6, 104.0, "kg/m³", "1000 ± 104 kg/m³"),
        (0.0, 0.1, "m/s", "0 ± 100 mm/s"),
        (-9.81, 0.02, "m/s²", "-9.810 ± 0.020 m/s²"),
        (0.0, 0.0, "Pa", "0 Pa"),
        (5.0, float("nan"), "Pa", "5 Pa"),
    ],
)
def test_a_value_has_its_error_a_prefix_and_a_unit(value, error, unit, text):
    assert format_measured(value, error, unit) == text
