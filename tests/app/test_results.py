"""Results: a line a parameter for people, a file of numbers for programs."""

import json

import pytest
import torch
from support.observed import NU, E, observed_beam
from torch.optim import Adam

from simlayer.app.report import format_table
from simlayer.app.results import add_uncertainty, collect_results, write_results
from simlayer.app.sweep import SweepRun, format_runs
from simlayer.identification.history import History
from simlayer.identification.linear_uncertainty import LinearUncertainty
from simlayer.identification.losses import PositionLoss
from simlayer.identification.module import ParameterIdentification
from simlayer.identification.uncertainty import Uncertainty

pytestmark = pytest.mark.usefixtures("float64")
V = "initial.velocities"


def model_of(trainable, fields=None):
    return ParameterIdentification(
        observed_beam(), trainable=trainable, loss=PositionLoss(), optimizer=Adam, fields=fields
    )


def outcome(trainable, found, *, reference=None, fields=None):
    """The results of a fit that found these values."""
    model = model_of(trainable, fields)
    initial = model.values()
    history = History({name: torch.tensor(value) for name, value in (reference or {}).items()})
    history.rows = [{"epoch": k, "loss": loss, "values": {}} for k, loss in enumerate([2.0, 0.25, 0.5])]
    history.best_loss = 0.25
    for unknown in model.unknowns:
        unknown.assign(found[unknown.name])
    return collect_results(model, history, initial, ended="converged", seconds=1.5)


def test_results_hold_first_guess_find_reference_and_error_of_every_unknown():
    results = outcome([E, NU], {E: 2e5, NU: 0.25}, reference={E: 1.6e5})
    assert list(results["parameters"]) == [E, NU]
    row = results["parameters"][E]
    assert row["initial"] == pytest.approx(1e5)
    assert row["found"] == pytest.approx(2e5)
    assert row["reference"] == 1.6e5
    assert row["relative_error"] == pytest.approx(0.25)
    assert row["unit"] == "Pa"
    assert results["parameters"][NU]["reference"] is None
    assert results["parameters"][NU]["relative_error"] is None
    assert results["loss"] == {"initial": 2.0, "found": 0.25}
    assert (results["epochs"], results["ended"], results["seconds"]) == (2, "converged", 1.5)


def test_a_field_is_listed_by_its_mean_and_its_median_error():
    field = torch.linspace(1e5, 2e5, 18)
    row = outcome([E], {E: field}, reference={E: 1e5}, fields={E: "cells"})["parameters"][E]
    assert row["found"] == pytest.approx(1.5e5)
    assert row["values"] == 18
    # The lower one of the two in the middle.
    assert row["relative_error"] == pytest.approx(8 / 17)


@pytest.mark.parametrize(
    ("trainable", "found", "reference", "line"),
    [
        (E, 2e5, None, f"{E}: 100000 Pa -> 200000 Pa"),
        (E, 2e5, 1.6e5, f"{E}: 100000 Pa -> 200000 Pa (reference 160000 Pa, error 25.00%)"),
        (NU, 0.25, 0.25, f"{NU}: 0.4 -> 0.25 (reference 0.25, error 0.00%)"),
        (
            V,
            [[3.0, 0.5, 2.0]],
            [[3.0, 0.5, 2.0]],
            f"{V}: (0, 0, 0) m/s -> (3, 0.5, 2) m/s (reference (3, 0.5, 2) m/s, error 0.00%)",
        ),
    ],
)
def test_a_line_of_the_table_has_units_and_the_error_where_the_truth_is_known(
    trainable, found, reference, line
):
    truth = {} if reference is None else {trainable: reference}
    assert format_table(outcome([trainable], {trainable: torch.tensor(found)}, reference=truth)) == line


def assessed(covariance, *, undetermined=(), correlated=False, step=(0.0, 0.0)):
    """Results of a modulus and a ratio that were found with this covariance, in units of the values."""
    values = (2e5, 0.25)
    results = outcome([E, NU], {E: values[0], NU: values[1]}, reference={E: 1.6e5})
    covariance, directions = torch.tensor(covariance), torch.tensor(undetermined).reshape(-1, 2)
    step = torch.tensor(step)
    linear = LinearUncertainty(
        covariance, covariance / 4, directions, directions, 120, 1e-4, correlated, step
    )
    uncertainty = Uncertainty((E, NU), torch.tensor(values), torch.tensor(values), linear)
    return add_uncertainty(results, model_of([E, NU]).unknowns, uncertainty)


def test_a_line_of_the_table_has_the_standard_error_of_two_digits():
    results = assessed([[1e-4, 0.0], [0.0, 4e-4]], correlated=True)
    assert results["parameters"][E]["standard_error"] == pytest.approx(2e3)
    assert results["uncertainty"]["correlation"] == [[1.0, 0.0], [0.0, 1.0]]
    first, second, note = format_table(results).splitlines()
    assert first == f"{E}: 100000 Pa -> 200.0 ± 2.0 kPa (reference 160000 Pa, error 25.00%)"
    assert second == f"{NU}: 0.4 -> 0.2500 ± 0.0050"
    assert note.endswith("so that the 120 observed numbers tell as much as 30 independent ones.")
    json.dumps(results, allow_nan=False)


def test_a_fit_that_has_not_converged_says_by_how_many_standard_errors():
    covariance = [[1e-4, 0.0], [0.0, 4e-4]]
    line = "NOT CONVERGED: another step would change the values by 3 standard errors."
    assert format_table(assessed(covariance, step=(1e-3, 0.06))).splitlines()[0] == line
    assert "NOT CONVERGED" not in format_table(assessed(covariance, step=(1e-5, 1e-3)))


def test_what_is_not_determined_comes_first_and_has_no_value_that_was_found():
    results = assessed([[1e-4, 0.0], [0.0, 0.0]], undetermined=[0.0, 1.0])
    row = results["parameters"][NU]
    assert (row["found"], row["stopped"], row["determined"]) == (None, 0.25, False)
    assert "standard_error" not in row
    first, modulus, ratio, note = format_table(results).splitlines()
    assert first.startswith("NOT DETERMINED: poissons_ratio is not determined")
    assert "±" in modulus
    assert ratio == f"{NU}: 0.4 -> not determined (stopped at 0.25)"
    assert "as if the residuals of the 120 observed numbers were independent" in note
    text = format_runs([SweepRun(0, ["a=1"], None, results)])
    assert "youngs_modulus = 200.0 ± 2.0 kPa, poissons_ratio = not determined" in text
    json.dumps(results, allow_nan=False)


def test_a_line_of_a_field_says_how_many_values_it_has():
    field = torch.full((18,), 2e5)
    text = format_table(outcome([E], {E: field}, reference={E: 1e5}, fields={E: "cells"}))
    line, *regions = text.splitlines()
    assert line == f"{E}: 100000 Pa -> 200000 Pa, mean of 18 (reference 100000 Pa, median error 100.00%)"
    assert regions == ["  where it is 100000 (18 values): median error 100.0%, worst 100.0%"]


def test_the_errors_of_a_field_are_reported_by_region_of_the_truth():
    truth = torch.where(torch.arange(18) < 3, 4e5, 1e5)
    found = truth * torch.where(truth > 2e5, torch.tensor([1.2, 0.9, 0.5] * 6), 1.01)
    results = outcome([E], {E: found}, reference={E: truth.tolist()}, fields={E: "cells"})
    soft, stiff = results["parameters"][E]["regions"]
    assert (soft["values"], stiff["values"]) == (15, 3)
    assert (soft["median_error"], soft["worst_error"]) == (pytest.approx(0.01), pytest.approx(0.01))
    assert (stiff["median_error"], stiff["worst_error"]) == (pytest.approx(0.2), pytest.approx(0.5))
    assert "where it is 400000 (3 values): median error 20.0%, worst 50.0%" in format_table(results)


def test_results_are_read_back_as_they_were_written(tmp_path):
    results = outcome([E, V], {E: 2e5, V: torch.ones(1, 3)}, reference={V: [[1.0, 0.0, 0.0]]})
    write_results(tmp_path, results)
    assert json.loads((tmp_path / "results.json").read_text()) == results
    assert format_table(json.loads((tmp_path / "results.json").read_text())) == format_table(results)
