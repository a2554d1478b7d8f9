"""Curves of tests on specimens read from files."""

import math

import pytest
import torch

from simlayer import ObservationError
from simlayer.laboratory import read_load_curve

EXPORT = """Specimen;A
Time;Angle (degree);Torque
s;degree;N mm
1,0;0;0
1,5;90;2,5
2,0;180;
2,5;90;2
"""

COLUMNS = {"amount": "Angle (degree)", "amount_unit": "degree", "load": "Torque", "load_unit": "N mm"}


@pytest.fixture
def export(tmp_path):
    path = tmp_path / "twist.csv"
    path.write_text(EXPORT)
    return path


def test_loading_and_unloading_are_read_in_order_with_units_and_gaps(export):
    curve = read_load_curve(export, **COLUMNS, kind="twist")
    torch.testing.assert_close(curve.amounts, math.pi * torch.tensor([0.0, 0.5, 1.0, 0.5]).double())
    expected = torch.tensor([0.0, 2.5e-3, torch.nan, 2e-3]).double()
    torch.testing.assert_close(curve.loads, expected, equal_nan=True)
    assert curve.times is None


def test_times_begin_at_the_start_of_the_test(export):
    curve = read_load_curve(export, **COLUMNS, kind="twist", time="Time", time_unit="ms", start=1e-3)
    torch.testing.assert_close(curve.times, 1e-3 * torch.tensor([0.0, 0.5, 1.0, 1.5]).double())
    with pytest.raises(ObservationError, match=r"line 4: the time is 0.5 s before the start"):
        read_load_curve(export, **COLUMNS, kind="twist", time="Time", time_unit="s", start=1.5)


@pytest.mark.parametrize(("rows", "chosen"), [(2, [0, 3]), (3, [0, 2, 3]), (1, [3]), (9, [0, 1, 2, 3])])
def test_rows_are_spread_from_the_first_to_the_last(export, rows, chosen):
    every, some = (read_load_curve(export, **COLUMNS, kind="twist", rows=n) for n in (None, rows))
    torch.testing.assert_close(some.loads, every.loads[chosen], equal_nan=True)


@pytest.mark.parametrize("kind", ["pull", "pressure_volume"])
def test_other_kinds_have_other_units(export, kind):
    with pytest.raises(
        ObservationError, match=r"amount_unit must be the unit of the (displacement|pressure)"
    ):
        read_load_curve(export, **COLUMNS, kind=kind)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"load_unit": None}, "load_unit must be the unit of the torque in the file, one of N m, N mm"),
        ({"amount_unit": "rad"}, "the column 'Angle .degree.' is in degree, and amount_unit is 'rad'"),
        ({"load": "Torqe"}, "did you mean 'Torque'"),
        ({"time": "Time"}, "time_unit must be the unit of the time"),
    ],
)
def test_what_does_not_fit_is_refused(export, changes, message):
    with pytest.raises(ObservationError, match=message):
        read_load_curve(export, **(COLUMNS | changes), kind="twist")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("0,0\n1,1\n0.5,2\n", r"line 3: the time decreases, from 1 s to 0.5 s"),
        ("0,0\n1,1\n1,2\n", r"line 3: the time stands still, .*remove lines that the machine wrote twice"),
        ("0,0\n1,x\n", r"line 2: load must be a finite number, got 'x'"),
        ("0,0\n,1\n", r"line 2: amount must be a finite number, got ''"),
    ],
)
def test_a_row_that_is_wrong_is_named_by_its_line(tmp_path, rows, message):
    (tmp_path / "pull.csv").write_text(rows)
    columns = {"amount": 0, "amount_unit": "mm", "load": 1, "load_unit": "N"}
    with pytest.raises(ObservationError, match=message):
        read_load_curve(tmp_path / "pull.csv", **columns, time=0, time_unit="s")
