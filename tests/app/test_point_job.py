"""The task `material_point`: laws fitted to curves, from the command line to results."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.treloar import DATA

from simlayer.app.main import main

POINT = ("experiment=material_point", "run_name=test", "task.laws=[]")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, rows in DATA.items():
        np.savetxt(f"{name}.txt", rows)
    return Path("outputs/test")


def columns(**changes):
    given = {
        "stress": 0,
        "stress_unit": "MPa",
        "strain": 1,
        "strain_unit": 1,
        "strain_kind": "stretch",
    } | changes
    return [f"task.columns.{name}={value}" for name, value in given.items()]


def test_files_of_several_tests_are_fitted_together(folder, capsys):
    tests = ",".join(f"{{path:{name}.txt,test:{name}}}" for name in DATA)
    main([*POINT[:2], *columns(), f"task.tests=[{tests}]", "task.laws=[gent]"])
    found = json.loads((folder / "results.json").read_text())
    assert found["parameters"]["c10"]["found"] == pytest.approx(184.70e3, rel=0.01)
    assert found["parameters"]["c10"]["standard_error"] == pytest.approx(10.1e3, rel=0.05)
    assert found["rms"]["all"] == pytest.approx(0.138e6, rel=0.01)
    assert set(found["rms"]) == {"all", *DATA}
    assert [row["law"] for row in found["laws"]] == ["gent", "Yeoh"]
    assert {"curves.png", "config.yaml", "results.json"} <= {path.name for path in folder.iterdir()}
    printed = capsys.readouterr().out
    assert "c10: 100000 Pa -> 185 ± 10 kPa" in printed
    assert "STRUCTURED: the residuals of uniaxial are no noise" in printed
    assert "equibiaxial left out [kPa]" in printed


def test_one_file_is_fitted_by_its_path_with_the_offset_of_its_strain(folder):
    main([*POINT, "data.path=uniaxial.txt", *columns(fit_offset="true", between="[1,4]")])
    found = json.loads((folder / "results.json").read_text())
    # The curve of Treloar starts at rest.
    offset = found["parameters"]["uniaxial.strain_offset"]
    assert abs(offset["found"]) < 4 * offset["standard_error"]


def test_what_one_test_does_not_determine_is_printed(folder, capsys):
    main([*POINT, "task.twin.tests=[uniaxial]", "task.twin.stretch=1.2", "task.twin.noise=1e4"])
    printed = capsys.readouterr().out
    assert "WARNING: equibiaxial tension, which was not measured" in printed


def test_a_twin_tells_the_errors_of_what_was_found(folder):
    main([*POINT, "task.twin.noise=0"])
    rows = json.loads((folder / "results.json").read_text())["parameters"]
    assert set(rows) == {"c10", "c20", "c30"}
    assert all(row["relative_error"] < 1e-6 for row in rows.values())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.path=uniaxial.txt", *columns(stress_unit="null")], "task.tests[0].stress_unit must be given"),
        (
            ["data.path=uniaxial.txt", *columns(stress_unit="bar")],
            "stress_unit must be the unit of the nominal",
        ),
        (["data.path=none.txt", *columns()], "data.path: none.txt does not exist"),
        (["task.tests=[{path:none.txt}]", *columns()], "none.txt cannot be read"),
        (
            ["task.tests=[{path:uniaxial.txt,tests:planar}]", *columns()],
            "task.tests[0].tests is no key of a test",
        ),
        (["data.path=uniaxial.txt", *columns(between="[9]")], "task.tests[0].between must be two stretches"),
        (["task.laws=[gnt]"], "task.laws: material has no option 'gnt'; did you mean 'gent'"),
        (["task.twin.tests=[uniaxal]"], "no test is named 'uniaxal'; did you mean 'uniaxial'"),
        (["task.unknowns=[c40]"], "no quantity is named 'c40'"),
        (["step.dt=1e-3"], "step.dt has no effect with this task"),
        (["check_gradients=true"], "check_gradients has no effect with this task"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_key(folder, overrides, message):
    with pytest.raises(SystemExit) as refused:
        main([*POINT, *overrides])
    assert message in str(refused.value)


def test_laws_to_compare_with_are_found_in_ones_own_folder_too(folder):
    Path("mine/material").mkdir(parents=True)
    law = "_target_: simlayer.NeoHookean\nyoungs_modulus: 1.0e+5\npoissons_ratio: 0.4999\n"
    Path("mine/material/own.yaml").write_text(law)
    main([*POINT[:2], "task.laws=[own]", "--config-dir", "mine"])
    found = json.loads((folder / "results.json").read_text())
    assert {row["law"] for row in found["laws"]} == {"Yeoh", "own"}
